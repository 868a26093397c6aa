"""Help, in English."""

from __future__ import annotations

TABLE: dict[str, str] = {
    "help.title": "What I can do",
    "help.intro": "Say “draw a cat” and I draw. What has a time (“every day at 9:00 draw …”), or only sounds "
    "like wanting a picture, is shown for you to confirm; anything else is answered as a question. Or use commands:",
    "help.admin": "Admins:",
    "help.reviewer": "Reviewers:",
    "help.more": "More about one command: `/help draw`",
    "help.practice": "This is the built-in practice model. It draws simple figures (colours, shapes, sizes, places, "
    "one to four, backgrounds), such as `/draw a red circle on the left, a green star on the right`. "
    "For anything else an admin installs Z-Image-Turbo: `image.path` in `model.yaml`, see README.",
    "help.also": "Also written {names}",
    "help.draw": "draws",
    "help.draw.use": "/draw a cat --size 1024x768",
    "help.draw.more": "Options may stand anywhere, values may be quoted; after a lone -- everything is text.\n"
    "`--dry-run`: only tells price, place and waiting time, and orders nothing",
    "help.draw.from": "`--from`: begin with a picture: reply to one, or send it in the same message; a job's picture "
    "is `--from 17`, its second one `--from 17.2`. Without a size it keeps its shape\n"
    "`--strength 0.6`: how much is drawn anew, 0.1 hardly anything, 1 everything",
    "help.lora": "`--lora {name}`: a style on top; with its strength, like `--lora {name}:0.6`; several are joined by "
    "commas; `/redo 17 --lora none` takes it away",
    "help.lora.one": "· `{name}` (usually {weight}) {about}",
    "help.lora.more": "· {n} more: `/help lora`",
    "help.lora.none": "The present model has no styles (LoRA). An admin can add some: image.adapters in model.yaml.",
    "style.手绘线条": "Figures as coloured lines, drawn by a slightly shaky hand",
    "help.draw.template": "`--template poster subject=autumn`: from a template, see `/help template`",
    "help.template": "kept prompts with blanks to fill in",
    "help.template.use": "/template",
    "help.template.more": "Lists the templates there are here. Keep one: `/template save poster a poster of "
    "{{subject}} on {{colour=blue}} --size 1024x1360`: braces stand for what is filled in, with a default behind =; "
    "options are kept, too. Use it: `/draw --template poster subject=autumn`, with quotes around blanks; where one "
    "thing is to be filled in, just write it: `/draw --template poster autumn`. What stands beside is added, and the "
    "order's own options come first.\n"
    "Look `/template show poster` · take away `/template delete poster`\n"
    "It is your own; `--for group` keeps it for this group, `--for team` for everybody (admins). Of one name your own "
    "comes first, then the group's, then the team's; `group/poster` names one. Saved again it is a new version; what "
    "was reserved stays as it was.",
    "help.reserve": "draws later, by itself",
    "help.reserve.use": "/reserve tomorrow 9:00 a cat",
    "help.reserve.more": "Also `/draw a cat --at tonight at 10`, `/draw a sunrise --every weekdays 9:00`, "
    "`/draw a poster --at 22:00-06:00` (any time in the window). It counts once confirmed, and is charged when it "
    "fires.\n"
    "`--late 30`: skip it when more than 30 minutes late; without it, it is drawn all the same.\n"
    "Another time `/reserve r12 friday 9:00` · `/pause r12` · `/resume r12` · `/cancel r12`",
    "help.reserve.to": "`--to {name}`: the picture is also posted to that group ({names}); without it, only to you.",
    "help.draw.limits": "At most {count} pictures an order; {concurrency} jobs of one person run at once, the others "
    "wait.",
    "help.draw.private": "`--private`: nobody else finds it, ordered in a group it comes to you alone, and its file "
    "does not hold the description and settings. The mark that AI made it stays",
    "help.draw.later": "`--at tonight at 10`, `--every weekdays 9:00`: later, see `/help reserve`",
    "help.ask": "answers from the knowledge base, with sources",
    "help.ask.use": "/ask how does annual leave work?",
    "help.ask.more": "Answers rest on the documents alone; where they do not say, you are told so. You may ask on; "
    "`/new` forgets.\n"
    "`--kb HR`: from the source of that name alone.\n"
    "In a group an answer uses what everybody there may read; “Answer me privately” asks again with what you may "
    "read, for you alone.\n"
    "Questions that got no answer, or a 👎, are listed for admins and reviewers, so that the documents can be "
    "completed; only admins see who asked.",
    "help.jobs": "lists my jobs",
    "help.jobs.use": "/jobs [number]",
    "help.jobs.more": "The newest jobs, their states and places, and the reservations to come. `/jobs 17` shows the "
    "result of job 17 again and costs nothing.",
    "help.cancel": "stops a job",
    "help.cancel.use": "/cancel 17",
    "help.cancel.more": "At once while it waits, after its present step while it runs; it costs nothing. "
    "Only your own jobs. A reservation is `/cancel r12`.",
    "help.redo": "draws again, with changes",
    "help.redo.use": "/redo 17",
    "help.redo.more": "Same seed, same settings; write what shall differ: `/redo 17 --steps 12`, "
    "`/redo 17 --seed random`, `/redo 17 a dog`.",
    "help.gallery": "find pictures",
    "help.gallery.use": "/gallery lighthouse this week",
    "help.gallery.more": "By words of their description, and also @somebody, days (today, this week, last month, "
    "last 7 days, 2026-11-01..2026-11-20), a size (1024x768) and model:NAME. You see your own pictures and those drawn "
    "in groups you have spoken in; in a group only its own. The numbers go on: `/draw … --from 17.2`, `/redo 17`.",
    "help.quota": "shows what I have left",
    "help.quota.use": "/quota",
    "help.quota.more": "A picture up to 1024x1024 at the default steps costs 1, larger or longer ones in proportion. "
    "Failed and cancelled ones cost nothing. Where a group or a department has a quota, what is drawn there counts "
    "for it too; whichever is used up first binds.",
    "help.quota.admin": "`/quota set @name 5/day` sets a quota · `/quota set @name ask 50/day` for answers · "
    "`/quota grant @name 3` gives more",
    "help.quota.admin_more": "Day, week and month count side by side; `/quota set @name none/day` takes one back, "
    "`/quota set @name default` all of them\n"
    "What is granted may lapse: `/quota grant @name 3 7 days`, `/quota grant @name 3 until 2026-12-31`\n"
    "Instead of @name: `group` (this one), `dept Design`, `default` (everybody without a quota of their own); "
    "`/quota group` shows it",
    "help.new": "begins a new conversation",
    "help.new.use": "/new",
    "help.new.more": "What was said before is no longer taken into account.",
    "help.status": "tells how things are",
    "help.status.use": "/status",
    "help.status.more": "The models, whether they are ready, and the queues.",
    "help.help": "shows this",
    "help.help.use": "/help",
    "help.help.more": "`/help draw` explains a command, `/help size` a parameter.",
    "help.role": "changes a role",
    "help.review": "reviews held pictures",
    "help.review.use": "/review",
    "help.review.more": "Lists the pictures that wait for a review. See one `/jobs 17` · approve "
    "`/review approve 17` · reject `/review reject 17 reason`. "
    "The first decision counts; your own pictures are decided by another reviewer.\n"
    "Whoever's picture was rejected may appeal once: `/review appeal 17 reason`. Another reviewer decides; "
    "a picture whose appeal is approved is free.\n"
    "Questions without a good answer: `/kb unanswered`, or Knowledge on the page.",
    "help.role.use": "/role @name admin",
    "help.role.more": "The roles are admin, reviewer and user.",
    "help.pause": "starts no further jobs",
    "help.pause.use": "/pause",
    "help.pause.more": "New jobs are accepted and wait; running ones are finished. `/pause now` stops at once: what "
    "runs goes back into the queue and is not charged twice. One kind only: `/pause draw`, `/pause ask`.",
    "help.resume": "goes on",
    "help.resume.use": "/resume",
    "help.resume.more": "Lets the waiting jobs run; an engine that rests after failures is tried at once. "
    "One kind only: `/resume draw`, `/resume ask`.",
    "help.ban": "blocks somebody",
    "help.ban.use": "/ban @name spam 7 days",
    "help.ban.more": "Reason and time may be left out: `/ban @name`, `/ban @name until 12-31`, `/ban @name 2 hours`. "
    "Their open jobs are cancelled and cost nothing, their reservations are not drawn.",
    "help.unban": "lets somebody in again",
    "help.unban.use": "/unban @name",
    "help.unban.more": "At once; a block with an end ends by itself.",
    "help.kb": "Documents of the knowledge base",
    "help.kb.use": "/kb",
    "help.kb.more": "Lists the documents. Add one: reply to a file with `/kb add`, with another name behind it if you "
    "like. Take one out: `/kb remove handbook.md`. Everybody can ask about what is added. "
    "`/kb sources`: when each source was read last, how much is in, what was left out and why; in groups only numbers. "
    "`/kb unanswered`: questions without a good answer, for reviewers too.",
    "help.model": "Change the image model",
    "help.model.use": "/model",
    "help.model.more": "Lists the models and the one in use. Another one: `/model use NAME`; back to what model.yaml "
    "says: `/model use default`. Jobs keep their places meanwhile; what cannot be loaded is taken back by itself.",
    "help.size": "`--size 1024x768`: {text} (sides {low}–{high}, default {default})",
    "help.size.pixels": ", at most {pixels} pixels in all",
    "help.size.choices": "`--size {default}`: {text} (one of {choices}, default {default})",
    "help.count": "`--n 2`: {text} ({range}, default {default})",
    "help.seed": "`--seed 7`: {text} (0–4294967295)",
    "help.steps": "`--steps {default}`: {text} ({range}, default {default})",
    "help.cfg_scale": "`--cfg {default}`: {text} ({range}, default {default})",
    "help.prompt": "Description: {text} (at most {limit} characters)",
    "help.negative": "`--neg blurry`: what should not appear; at the end, or in quotes. Only where the model knows it.",
}
