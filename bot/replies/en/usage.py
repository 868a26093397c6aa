"""How commands are used, in English."""

from __future__ import annotations

TABLE: dict[str, str] = {
    "usage.nothing_said": "Shall I draw something, or answer a question? /help shows what I can do.",
    "usage.only_picture": "Got the picture. To draw from it, quote it and send `/draw description --from`.",
    "usage.only_file": "Got the file. To have it in the knowledge base, an admin quotes it and sends `/kb add`.",
    "usage.unusable": "I cannot read such messages. Send text, voice, a picture or a file; /help shows what I can do.",
    "usage.bare_slash": "A command follows the slash, like `/draw a cat`. /help lists them all.",
    "usage.typo": "There is no {given}. Did you mean {near}?\nYou can send: `{corrected}`",
    "usage.ambiguous": "There is no {given}. Which of these did you mean: {near}?",
    "usage.unknown_command": "There is no {given}. /help lists all commands.",
    "usage.later_command": "{command} comes with a later version. /help shows what works now.",
    "usage.unknown_button": "This button no longer works. Please send a command instead, like `/redo 17`.",
    "usage.takes_nothing": "This command stands alone; “{given}” was not understood. Send just the command.",
    "usage.empty_prompt": "What shall I draw? Add a description, like `/draw a panda with a red scarf`.",
    "usage.prompt_in_neg": "All the words went to --neg and nothing is left to draw. "
    "Put --neg at the end, or its words in quotes.",
    "usage.empty_question": "What is the question? Add it, like `/ask how does annual leave work?`.",
    "usage.too_long": "This has {length} characters, the limit is {limit}: please drop {over}.",
    "usage.open_quote": "The quote at character {position} is never closed: {near}. Close it, or remove it.",
    "usage.unknown_flag": "There is no {flag}. {hint}",
    "usage.unknown_flag.near": "Did you mean {near}?",
    "usage.unknown_flag.none": "There are --size --ar --n --seed --steps --cfg --neg --at --every --late --to "
    "--from --strength --lora --template --private --dry-run; to write it as text, put a lone -- before it.",
    "usage.repeated_flag": "{flag} stands there twice, please keep one.",
    "usage.missing_value": "{flag} needs a value, {example}.",
    "usage.not_a_number": "{flag} takes a number from {low} to {high}, “{given}” is none.",
    "usage.out_of_range": "{flag} takes {low} to {high}, not {given}. The nearest is `{flag} {nearest}`.",
    "usage.more_pictures": " For more, send it several times: they queue up.",
    "usage.not_a_choice": "{flag} takes {choices}, not {given}. The nearest is `{flag} {nearest}`.",
    "usage.size_form": "A size is width x height, like `--size {example}`; “{given}” was not understood.",
    "usage.size_range": "Sides may have {low} to {high} pixels, not {given}. The nearest is `--size {nearest}`.",
    "usage.size_multiple": "Sides must be multiples of {multiple}, {given} is not. The nearest is `--size {nearest}`.",
    "usage.size_pixels": "{given} is too large, at most {pixels} pixels in all. The nearest is `--size {nearest}`.",
    "usage.size_choice": "The sizes are {choices}. The nearest to {given} is `--size {nearest}`.",
    "usage.size_and_ar": "Use either --size (pixels) or --ar (ratio), not both.",
    "usage.ratio_form": "A ratio is width:height, like `--ar 16:9`; “{given}” was not understood.",
    "usage.ratio_range": "{given} is too narrow: sides may have {low} to {high} pixels. Take a ratio closer to square.",
    "usage.no_guidance": "This model works without guidance: --cfg can only be 0, not {given}. Just leave it out.",
    "usage.no_job": "Add the job's number, like `{example}`. /jobs lists yours.",
    "usage.bad_job": "“{given}” is no job number; write it like `{example}`. /jobs lists yours.",
    "usage.one_job": "One job at a time, please; “{given}” was not understood.",
    "usage.unknown_topic": "There is no help about “{given}”. {hint}",
    "usage.unknown_topic.near": "Try: {near}",
    "usage.unknown_topic.none": "/help lists all commands.",
    "usage.quota_action": "“{given}” was not understood. There are /quota, `/quota set @name 5/day` "
    "and `/quota grant @name 3`.",
    "usage.quota_set_form": "Say who, how many and per what: `/quota set {who} 5/day`, "
    "for answers `/quota set {who} ask 50/day`; to take it back `/quota set {who} default`.",
    "usage.quota_grant_form": "Say who and how many: `/quota grant {who} 3`, for answers `/quota grant {who} ask 3`; "
    "add `7 days` or `until 2026-12-31` if they shall lapse.",
    "usage.grant_default": "The default cannot be granted more, only changed: `/quota set default 50/day`. "
    "Grants go to @name, group or dept.",
    "usage.days_range": "Days can be 1 to {high}, not {given}. Without any, nothing lapses.",
    "usage.amount_range": "The amount must be {low} to {high}, not {given}.",
    "usage.nobody": "Who? Mention them with @, or write their id: feishu:ou_123.",
    "usage.ban_form": "Say whom to block: `/ban @name spam 7 days`; the reason and the time (`7 days`, `2 hours`, "
    "`until 12-31`) may be left out.",
    "usage.ban_span": "`{given}` does not work: from 1 minute to 10 years. Leave it out to block until /unban.",
    "usage.pause_form": "`{given}` is not clear. Write `/pause`, `/pause now` (at once) or `/pause draw` "
    "(pictures only).",
    "usage.resume_form": "`{given}` is not clear. Write `/resume` or `/resume draw` (pictures only).",
    "usage.role_form": "Say who and which role: `/role @name admin`.",
    "usage.review_form": "“{given}” was not understood. {hint}",
    "usage.review_form.near": "Did you mean `/review {near}`?",
    "usage.review_form.none": "Write /review, `/review approve 17`, `/review reject 17 reason` "
    "or `/review appeal 17 reason`.",
    "usage.review_job": "Name the job: `/review {act} 17`. /review lists what waits.",
    "usage.review_reason": "Why is it rejected? Its owner reads the reason: `/review reject {job} reason`.",
    "usage.appeal_reason": "Why should it be approved? Add the reason: `/review appeal {job} reason`.",
    "usage.bad_role": "There is no role “{given}”. The roles are admin, reviewer and user.",
    "usage.at_and_every": "Use either --at (once) or --every (again and again), not both.",
    "usage.time_twice": "There are two times: /reserve has one already, so leave --at and --every out.",
    "usage.late_alone": "--late goes with --at or --every, like `--at 22:00 --late 30`.",
    "usage.late_form": "--late takes minutes (1 to {high}) beyond which it is skipped, or run for any; "
    "“{given}” was not understood.",
    "usage.to_alone": "--to is for reservations: it goes with --at or --every, like `--at 9:00 --to {given}`.",
    "usage.no_groups": "There is no group to post to, so --to {given} cannot be used. Leave it out, or ask an admin to "
    "add a group robot to wecom.webhooks in platforms.yaml.",
    "usage.unknown_group": "There is no group called “{given}”. {hint}",
    "usage.unknown_group.near": "Did you mean `{near}`?",
    "usage.unknown_group.none": "There are: {names}.",
    "usage.dry_later": "A reservation's card shows its times and price before you confirm. Please leave out --dry-run.",
    "usage.private_to": "A private picture is not posted to a group: `--private` and `--to {given}` do not go "
    "together. Please leave one out.",
    "usage.dry_redo": "A redo cannot be tried. Write the whole order, like `/draw a cat --dry-run`.",
    "size.price": "price {n} each",
    "usage.unknown_adapter": "There is no style called “{given}”. {hint}",
    "usage.unknown_adapter.near": "Did you mean `{near}`?",
    "usage.unknown_adapter.none": "There are: {names}.",
    "usage.no_adapters": "The present model has no styles (LoRA), so --lora {given} cannot be used. Leave it out, "
    "or ask an admin to add some under image.adapters in model.yaml.",
    "usage.adapter_twice": "“{given}” names one style twice. Name each once, like `--lora one:0.8,two`.",
    "usage.template_form": "“{given}” was not understood. {hint}",
    "usage.template_form.near": "Did you mean `{near}`?",
    "usage.template_form.none": "There are `/template list`, `/template show poster`, `/template save poster TEXT` and "
    "`/template delete poster`.",
    "usage.template_which": "Which template? Write its name, like `/template show poster`. /template lists them.",
    "usage.template_name": "“{given}” cannot be a template's name: up to 20 letters, digits, _ . -, and no word of "
    "the command.",
    "usage.template_empty": "What does “{name}” say? Write it behind the name, like "
    "`/template save {name} a poster of {{subject}} on {{colour=blue}} --size 1024x1360`.",
    "usage.template_for": "--for takes me, group or team, not “{given}”. Without it the template is your own.",
    "usage.template_flag": "A template cannot have {flag}: write it with each order. Please leave it out.",
    "usage.template_stale": "This template was changed or taken away since. /template lists those there are.",
    "usage.unknown_template": "There is no template called “{given}”. {hint}",
    "usage.unknown_template.near": "Did you mean `{near}`?",
    "usage.unknown_template.none": "There are: {names}.",
    "usage.no_templates": "There is no template called “{given}”, and no other yet. "
    "`/template save {given} TEXT` keeps one.",
    "usage.slots_missing": "The template “{template}” also needs: {names}. To copy: `{example}`",
    "usage.unknown_slot": "This template has no “{given}”. {hint}",
    "usage.unknown_slot.near": "Did you mean `{near}`?",
    "usage.unknown_slot.none": "It takes: {names}; quote it to write it as text.",
    "usage.slot_twice": "“{slot}” is filled in twice, please keep one; quote the other to write it as text.",
    "usage.slot_open": "A brace opens nothing here: {near}. Write `{{name}}` or `{{name=default}}` for what is filled "
    "in, and `{{{{` for a brace.",
    "usage.slot_name": "“{given}” cannot be filled in: a name has up to 20 letters, digits, _ - and begins with a "
    "letter. Write `{{{{` for a brace.",
    "usage.slot_defaults": "“{slot}” has two defaults, {one} and {other}. Please keep one.",
    "usage.slots_many": "A template has up to {limit} slots, this one has {count}.",
    "usage.strength_alone": "--strength goes with --from, like `--from 17 --strength 0.5`.",
    "usage.redo_from": "A redo keeps its picture. Order anew: `/draw a cat --from 17`.",
    "usage.kb_form": "“{given}” was not understood. There are `/kb`, `/kb add` (as a reply to a file) and "
    "`/kb remove NAME`, `/kb sources`, `/kb unanswered`.",
    "usage.model_form": "“{given}” was not understood. There are `/model`, `/model use NAME` and `/model use default`.",
    "usage.model_name": "Name the model, for example `/model use default`. /model lists them.",
    "usage.kb_name": "Which one? For example `/kb remove handbook.md`. /kb lists them.",
    "usage.gallery_days": "I cannot read “{given}”. Write days like this: today, this week, 2026-11-01, "
    "2026-11-01..2026-11-20.",
    "usage.redo_later": "A redo cannot be booked. Write the whole order, like `/draw a cat --at 22:00`.",
    "usage.reserve_form": "Say when and what, like `/reserve tomorrow 9:00 a cat`.",
    "usage.reserve_time": "The time “{given}” was not understood. First the time, then what to draw: "
    "`/reserve tomorrow 9:00 a cat`.",
    "usage.reserve_prompt": "What shall I draw then? Add it after the time: `/reserve {given} a cat`.",
}
