// A robot on the official SDK, unmodified: does what it is told in the chat, and says on stdout what it lives through.
const { createHash } = require("node:crypto");
const { WSClient } = require("@wecom/aibot-node-sdk");

const [wsUrl, botId, secret] = process.argv.slice(2);
const tell = (event, more = {}) => process.stdout.write(JSON.stringify({ event, ...more }) + "\n");
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const client = new WSClient({ wsUrl, botId, secret, reconnectInterval: 20, heartbeatInterval: 50, logger: quiet });

const card = (taskId, title) => ({
  card_type: "button_interaction",
  main_title: { title },
  button_list: [{ text: "重画", key: "redo:17", style: 1 }],
  task_id: taskId,
});
const picture = Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), Buffer.alloc(1300000, 7)]);

const actions = {
  async stream(frame) {
    await client.replyStream(frame, "stream-1", "画着", false);
    await client.replyStream(frame, "stream-1", "画着,画好了", true);
  },
  async picture(frame) {
    const { media_id: mediaId } = await client.uploadMedia(picture, { type: "image", filename: "山水.png" });
    await client.replyMedia(frame, "image", mediaId);
  },
  async push(frame) {
    await client.sendMessage(frame.body.chatid ?? frame.body.from.userid, {
      msgtype: "markdown",
      markdown: { content: "预约的画**好了**" },
    });
  },
  async card(frame) {
    await client.replyTemplateCard(frame, card("task-1", "画好了"));
  },
  async mixture(frame) {
    const image = { msgtype: "image", image: { base64: "AAAA", md5: "0" } };
    await client.replyStream(frame, "stream-2", "画好了", true, [image]);
  },
  async text(frame) {
    await client.reply(frame, { msgtype: "text", text: { content: "你好" } });
  },
};

async function attempt(what, doing) {
  try {
    await doing();
    tell("done", { what });
  } catch (error) {
    tell("refused", { what, code: error.errcode, message: String(error.message ?? error.errmsg) });
  }
}

client.on("authenticated", () => tell("authenticated"));
client.on("disconnected", (reason) => tell("disconnected", { reason }));
client.on("error", (error) => tell("error", { message: error.message }));
client.on("message.text", (frame) => {
  const word = frame.body.text.content.split(" ").pop();
  attempt(word, () => actions[word](frame));
});
client.on("message.image", (frame) =>
  attempt("download", async () => {
    const { buffer, filename } = await client.downloadFile(frame.body.image.url, frame.body.image.aeskey);
    tell("file", { filename, sha256: createHash("sha256").update(buffer).digest("hex") });
  }),
);
client.on("event.enter_chat", (frame) => {
  attempt("welcome", () => client.replyWelcome(frame, { msgtype: "text", text: { content: "欢迎" } }));
  attempt("misplaced", () => client.replyStream(frame, "stream-3", "欢迎", true));
});
client.on("event.template_card_event", (frame) => {
  const pressed = frame.body.event.template_card_event;
  attempt("update", () => client.updateTemplateCard(frame, card(pressed.task_id, `按了 ${pressed.event_key}`)));
});
client.on("event.feedback_event", (frame) => tell("feedback", { said: frame.body.event.feedback_event }));
client.connect();
process.stdin.resume().on("end", () => process.exit(0)); // with the test that started it
