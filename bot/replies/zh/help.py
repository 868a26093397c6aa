"""Help, in Chinese."""

from __future__ import annotations

TABLE: dict[str, str] = {
    "help.title": "我会做的事",
    "help.intro": "直接说“画一只猫”就画；带时间的（“每天早上九点画……”），和听起来想要图的，先出卡片请你确认；"
    "其他话当问题回答。也可以用命令：",
    "help.admin": "管理员：",
    "help.reviewer": "审核员：",
    "help.more": "某个命令的详细说明：`/help draw`",
    "help.practice": "现在是内置练习模型，会画简单图形：颜色、形状、大小、位置、一到四个、背景，"
    "如 `/draw 左边红色的圆，右边绿色的星`。想画别的，请管理员装上 Z-Image-Turbo："
    "`model.yaml` 的 `image.path`，见 README。",
    "help.also": "也可写作 {names}",
    "help.draw": "画图",
    "help.draw.use": "/draw 一只猫 --size 1024x768",
    "help.draw.more": "选项写在描述的前后都行，可以加引号；单独的 -- 之后都算文字。\n"
    "`--dry-run`：只试算价格、排位和等待时间，不下单",
    "help.draw.from": "`--from`：照着一张图画。回复图片，或和图片写在一条消息里；任务里的图写 `--from 17`，"
    "第二张 `--from 17.2`。没写尺寸就用原图的比例\n"
    "`--strength 0.6`：重画多少，0.1 几乎不变，1 等于重画",
    "help.lora": "`--lora {name}`：加一种风格。后面写强度，如 `--lora {name}:0.6`；几种用逗号隔开；"
    "重画时 `--lora none` 去掉",
    "help.lora.one": "· `{name}`（常用 {weight}）{about}",
    "help.lora.more": "· 还有 {n} 种，发 `/help lora` 看全部",
    "help.lora.none": "现在的模型没有装风格（LoRA）。管理员可以在 model.yaml 的 image.adapters 里添加。",
    "style.手绘线条": "图形画成彩色的手绘线条，微微抖动",
    "help.draw.template": "`--template 海报 主题=秋招`：套用模板，见 `/help template`",
    "help.template": "存好的描述，留空待填",
    "help.template.use": "/template",
    "help.template.more": "列出这里能用的模板。存：`/template save 海报 一张{{主题}}的海报，{{颜色=蓝色}}背景 "
    "--size 1024x1360`，花括号里是每次要填的，等号后是默认值，选项也一起存。用：`/draw --template 海报 主题=秋招`，"
    "值里有空格就加引号；只有一处要填时直接写：`/draw --template 海报 秋招`。写在旁边的话加在后面，"
    "选项以当次写的为准。\n"
    "看 `/template show 海报` · 删 `/template delete 海报`\n"
    "默认存成自己的；`--for 本群` 给群里的人用，`--for 全体` 给所有人（管理员）。"
    "同名时先用自己的，再是本群的、全体的；指定写 `本群/海报`。再存一次就是新版本，已订的预约不变。",
    "help.reserve": "预约，到时自动画",
    "help.reserve.use": "/reserve 明天9:00 一只猫",
    "help.reserve.more": "也可写 `/draw 一只猫 --at 今晚10点`、`/draw 早安图 --every 工作日9:00`、"
    "`/draw 海报 --at 22:00-06:00`（时段内有空就画）。确认后才生效，到时才计额度。\n"
    "`--late 30`：晚过 30 分钟就跳过，不写则照画。\n"
    "改时间 `/reserve r12 后天9:00` · 暂停 `/pause r12` · 恢复 `/resume r12` · 取消 `/cancel r12`",
    "help.reserve.to": "`--to {name}`：画好后也发到这个群（{names}），不写就只发给你。",
    "help.draw.limits": "一次最多 {count} 张；同一人同时做 {concurrency} 个任务，其余的排队。",
    "help.draw.private": "`--private`：私密。别人在图库里找不到，在群里下单也只私下发给你；图片文件里不写描述和参数，"
    "“AI 生成”的标识照样有",
    "help.draw.later": "`--at 今晚10点`、`--every 工作日9:00`：到时再画，见 `/help reserve`",
    "help.ask": "查知识库回答，附出处",
    "help.ask.use": "/ask 年假怎么休？",
    "help.ask.more": "只根据知识库里的文档回答，没有依据会直说。可以接着追问，`/new` 之后不再记得。\n"
    "`--kb 人事`：只在叫这个名字的来源里找。\n"
    "群里的回答按全群都能看的资料来；点“私下用我的权限回答”，就按你自己的权限再答一次，只发给你。\n"
    "没答上的和点了 👎 的问题会列给管理员和审核员，好补文档；只有管理员看得到是谁问的。",
    "help.jobs": "我的任务",
    "help.jobs.use": "/jobs [任务号]",
    "help.jobs.more": "列出最近的任务、状态和排位，以及还没到时间的预约。`/jobs 17` 把任务 17 的结果再发一次，"
    "不计额度。",
    "help.cancel": "取消任务",
    "help.cancel.use": "/cancel 17",
    "help.cancel.more": "排队的立即取消，正在画的画完当前一步就停，都不计额度。只能取消自己的任务。"
    "预约写 `/cancel r12`。",
    "help.redo": "重画，可改参数",
    "help.redo.use": "/redo 17",
    "help.redo.more": "种子和参数照旧，想改什么写在后面："
    "`/redo 17 --steps 12`、`/redo 17 --seed random`、`/redo 17 一只狗`。",
    "help.gallery": "找画过的图",
    "help.gallery.use": "/gallery 金毛 本周",
    "help.gallery.more": "按描述里的词找，可以加 @某人、日期（今天、本周、上月、最近7天、2026-11-01..2026-11-20）、"
    "尺寸（1024x768）和 模型:名字。能看到自己的图，和你说过话的群里画的；群里只找本群的。"
    "结果里的编号能接着用：`/draw 描述 --from 17.2`、`/redo 17`。",
    "help.quota": "我的额度",
    "help.quota.use": "/quota",
    "help.quota.more": "1024x1024 以内、默认步数的一张图计 1，更大或步数更多按比例计。失败和取消不计。"
    "群和部门设了额度的，在群里画也计群的，也计部门的；哪项先用完以哪项为准。",
    "help.quota.admin": "`/quota set @某人 5/day` 设画图额度 · `/quota set @某人 ask 50/day` 设回答额度 · "
    "`/quota grant @某人 3` 追加",
    "help.quota.admin_more": "每天、每周、每月可以同时限；`/quota set @某人 none/day` 去掉一项，"
    "`/quota set @某人 default` 全部收回，和大家一样\n"
    "追加可以到期：`/quota grant @某人 3 7天`、`/quota grant @某人 3 到 12月31日`\n"
    "@某人 也可以是 `本群`、`部门 设计部`、`默认`（没单独设过的所有人）；`/quota 本群` 查看",
    "help.new": "开始新对话",
    "help.new.use": "/new",
    "help.new.more": "之前的问答不再作为上文。",
    "help.status": "运行状态",
    "help.status.use": "/status",
    "help.status.more": "当前模型、引擎状态和队列长度。",
    "help.help": "这份说明",
    "help.help.use": "/help",
    "help.help.more": "`/help draw` 看一个命令，`/help size` 看一个参数。",
    "help.role": "改角色",
    "help.review": "审核图片",
    "help.review.use": "/review",
    "help.review.more": "列出等待审核的图片。看图 `/jobs 17` · 通过 `/review approve 17` · "
    "驳回 `/review reject 17 理由`。"
    "先决定的算数；自己的图由别的审核员决定。\n"
    "图被驳回的人可以申诉一次：`/review appeal 17 理由`，由另一位审核员决定；申诉通过的图不计额度。\n"
    "没答好的问题：`/kb unanswered`，或网页的知识库。",
    "help.role.use": "/role @某人 admin",
    "help.role.more": "角色有 admin 管理员、reviewer 审核员、user 用户。",
    "help.pause": "暂停开始新任务",
    "help.pause.use": "/pause",
    "help.pause.more": "新任务照收，排着不开始；进行中的会做完。`/pause now` 立即停：进行中的放回队列，不会多计额度。"
    "只停一类：`/pause draw`、`/pause ask`。",
    "help.resume": "恢复",
    "help.resume.use": "/resume",
    "help.resume.more": "让排队的任务继续；模型连续出错而停下的也马上再试。只恢复一类：`/resume draw`、`/resume ask`。",
    "help.ban": "停用账号",
    "help.ban.use": "/ban @某人 刷屏 7天",
    "help.ban.more": "原因和期限可以不写：`/ban @某人`、`/ban @某人 到 12月31日`、`/ban @某人 2小时`。"
    "他没做完的任务会取消并退回额度，预约到时不画。",
    "help.unban": "恢复账号",
    "help.unban.use": "/unban @某人",
    "help.unban.more": "马上恢复；有期限的到时自动恢复。",
    "help.kb": "知识库的文档",
    "help.kb.use": "/kb",
    "help.kb.more": "列出文档。加入：回复一个文件消息发 `/kb add`，想换名字就写在后面。移除：`/kb remove 手册.md`。"
    "加入的文档所有人都能问到。`/kb sources`：每个来源上次什么时候读的，收录了多少，哪些没有收录、为什么；群里只报数。"
    "`/kb unanswered`：没答好的问题（审核员也能看）。",
    "help.model": "换画图模型",
    "help.model.use": "/model",
    "help.model.more": "列出模型和现在用的那个。换：`/model use 名字`；换回 model.yaml 指定的：`/model use default`。"
    "换的时候任务留在队列里；加载失败会自动换回。",
    "help.size": "`--size 1024x768`：{text}（边长 {low}–{high}，默认 {default}）",
    "help.size.pixels": "，总像素最多 {pixels}",
    "help.size.choices": "`--size {default}`：{text}（可选 {choices}，默认 {default}）",
    "help.count": "`--n 2`：{text}（{range}，默认 {default}）",
    "help.seed": "`--seed 7`：{text}（0–4294967295）",
    "help.steps": "`--steps {default}`：{text}（{range}，默认 {default}）",
    "help.cfg_scale": "`--cfg {default}`：{text}（{range}，默认 {default}）",
    "help.prompt": "描述：{text}（最多 {limit} 字）",
    "help.negative": "`--neg 模糊`：不想出现的内容，写在最后或加引号。当前模型支持时才有效。",
}
