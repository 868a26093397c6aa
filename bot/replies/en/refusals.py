"""Failures and refusals, in English."""

from __future__ import annotations

TABLE: dict[str, str] = {
    "failure.out_of_memory": "There is not enough GPU memory for this. Try a smaller size or fewer pictures.",
    "failure.not_finite": "The model gave no valid result. Try another seed; if it stays so, tell an admin.",
    "failure.model_unavailable": "The model cannot be used right now. Try later, or ask an admin to run moqi doctor.",
    "failure.lost": "This job made its worker vanish several times and was stopped. Try a smaller size or other words.",
    "failure.internal": "Something broke inside; it was logged. Try again, and if it stays so, "
    "tell an admin the job's number.",
    "failure.bad_request": "The model does not accept these values. See /help draw for what is allowed and try again.",
    "failure.other_model": "Another model was chosen while this waited, and it cannot draw these values. Nothing was "
    "charged. See /help draw for what is allowed and try again.",
    "failure.prompt_too_long": "The description is too long for the model. Shorten it to some 200 words and try again.",
    "failure.bad_source": "The picture to draw from cannot be read. Try another one.",
    "failure.bad_adapter": "The style (LoRA) cannot be used: it was removed, or its file is broken. "
    "Try another of /help lora, or `--lora none`.",
    "failure.source_gone": "The file of the picture to draw from is gone. Send the picture and try again.",
    "failure.disk_full": "The server's disk is full, the picture could not be kept. "
    "Ask an admin to free space, then try again.",
    "failure.window_closed": "Its turn did not come before the window closed. Try another one.",
    "failure.order_refused": "The automatic check refused the description. Try another one.",
    "failure.picture_refused": "The automatic check refused the picture. Try another description.",
    "failure.rejected": "A reviewer rejected it. Try another description, or appeal once.",
    "failure.rejected_again": "The appeal was rejected; this is final. Try another description.",
    "rejected.reason": "{why} They said: “{reason}”.",
    "refusal.internal": "This message could not be handled; the cause was logged. Try again, or tell an admin.",
    "refusal.banned": "Your account is blocked{until}{reason}. Please talk to an admin.",
    "refusal.banned.until": " until {until}",
    "refusal.banned.reason": " (reason: {reason})",
    "refusal.ban_self": "You cannot block yourself.",
    "refusal.ban_last_admin": "This is the last admin. Make another one first: `/role @name admin`.",
    "refusal.too_fast": "Too fast: {what}{often}. Try again in {wait}; /cancel, /jobs, /quota and /help always work.",
    "often.user": "each person may order ",
    "often.draw": "each person may draw ",
    "often.ask": "each person may ask ",
    "often.reserve": "each person may reserve ",
    "often.second": "{count} times a second",
    "often.minute": "{count} times a minute",
    "often.hour": "{count} times an hour",
    "often.day": "{count} times a day",
    "refusal.private_here": "A private picture is not drawn in a group, and I cannot write to you first here. Please "
    "open our own chat and send the same there.",
    "refusal.private_job": "Job {job} is private and not shown in a group. Send `/jobs {job}` in our own chat.",
    "refusal.closed": "It is closed now (open {hours}); it opens at {opens}. {way}",
    "refusal.closed.send": "To reserve for later, send: `{command}`",
    "refusal.closed.add": "To reserve for later, send it again with `--at {at}` at the end.",
    "refusal.closed.none": "Nothing was charged.",
    "refusal.count_limit": "By now an order takes at most {limit} pictures, this one has {count}. Send it with "
    "`--n {limit}`, and the rest separately.",
    "refusal.adapter_gone": "The style (LoRA) {names} is gone. /help lora lists those there are; "
    "with /redo, `--lora none` draws without any.",
    "refusal.size_limit": "{size} is more than is allowed by now. The nearest is `--size {nearest}`.",
    "refusal.moderated": "This is against the team's rules{word}: nothing was done and nothing was charged. Put it "
    "differently, or ask an admin.",
    "refusal.moderated.word": " (`{word}`)",
    "refusal.queue_full": "The queue is full ({limit} jobs). Please try again in a while.",
    "refusal.too_many_waiting": "You already have {limit} jobs waiting, which is the limit. "
    "Wait for one, or /cancel one.",
    "refusal.quota": "Not enough quota ({unit}): this needs {cost}, {whose} has {left} left ({rate}). {way}",
    "refusal.quota.renews": "It renews {renews}; an admin can grant more.",
    "refusal.quota.never": "That is more than {rate} ever gives: make it smaller or fewer, or ask an admin for more.",
    "refusal.quota.none": "It is not open here; please talk to an admin.",
    "yours.user": "your account",
    "yours.group": "this group",
    "yours.dept": "your department",
    "refusal.not_limited": "{whose} has no quota ({unit}) and is not limited: there is nothing to add to.",
    "refusal.unknown_chat": "“{who}” names no group chat. Write its platform and id, like `group feishu:oc_123`; "
    "for the group you are in, just `group`.",
    "refusal.no_chat": "This is no group chat. Say it in the group, or name the group: `group feishu:oc_123`.",
    "refusal.day_over": "There is no such day, or it is over. Write one to come, like `until 2026-12-31` or `7 days`.",
    "refusal.image_model_unavailable": "The image model cannot be used right now: {problem} Nothing was charged.",
    "refusal.outsider": "This bot serves its own organisation only; your account belongs to another one, so nothing "
    "is drawn or answered for you here. Ask a colleague of theirs, or have an admin let your organisation in.",
    "refusal.not_admin": "Only admins may use {command}.",
    "refusal.not_reviewer": "Only reviewers and admins may use {command}. "
    "Against a rejection you can appeal: `/review appeal NUMBER reason`.",
    "refusal.no_review": "Job #{job} does not wait for a review. /review lists what does.",
    "refusal.review_approved": "Job #{job} was already approved by {who}.",
    "refusal.review_rejected": "Job #{job} was already rejected by {who}.",
    "refusal.review_withdrawn": "Job #{job} was cancelled; there is nothing to review.",
    "refusal.review_own": "Job #{job} is your own: another reviewer has to decide.",
    "refusal.review_again": "You rejected job #{job}: another reviewer has to decide on the appeal.",
    "refusal.no_appeal": "Job #{job} was not rejected, so there is nothing to appeal against.",
    "refusal.appeal_open": "Your appeal for job #{job} is in and waits for a reviewer.",
    "refusal.appeal_over": "The appeal for job #{job} was decided; there is no further one.",
    "refusal.not_yours_appeal": "Job #{job} is somebody else's; only its owner may appeal.",
    "refusal.under_review": "The pictures of job #{job} still wait for a review; they can be used once approved.",
    "refusal.not_yours": "Job #{job} belongs to somebody else; only they and admins may do that.",
    "refusal.unknown_job": "There is no job #{job}. /jobs lists yours.",
    "refusal.not_finished": "Job #{job} has no result yet; wait for it before you judge it.",
    "refusal.elsewhere": "This card was forwarded and does nothing here. Press it in its own chat, or send a command.",
    "refusal.already_ended": "Job #{job} is over already ({state}), there is nothing to cancel.",
    "refusal.not_a_picture": "Job #{job} is no picture and cannot be redone.",
    "refusal.no_source": "There is no picture to draw from. Reply to one with `/draw … --from`, or send picture and "
    "words in one message; a job's picture is `--from 17`, its second one `--from 17.2`.",
    "refusal.no_source_web": "There is no picture to draw from. Attach one with the button beside the input, or name "
    "a job's: `--from 17`.",
    "refusal.no_source_terminal": "There is no picture to draw from. `--from` takes a file, or a job's picture: "
    "`--from 17`.",
    "refusal.no_source_to_redo": "Job #{job} was not drawn from a picture: --strength means nothing. Leave it out.",
    "refusal.no_picture": "Job #{job} has no picture: it is not drawn yet, failed, or is no picture at all.",
    "refusal.picture_removed": "Picture {picture} of job #{job} was removed by the team's retention rule after "
    "{days} days. `/redo {job}` draws it again.",
    "refusal.source_removed": "The picture that job #{job} began with was removed by the team's retention rule. "
    "Order it anew with another one: `/draw … --from`.",
    "refusal.no_such_picture": "Job #{job} has pictures: {count}. There is no number {picture}.",
    "refusal.largest": "{size} cannot be enlarged: sides have at most {side} pixels, a picture {pixels}.",
    "refusal.source_format": "This file is no picture that can be used. Send PNG, JPEG, WebP, GIF or BMP.",
    "refusal.source_large": "The picture is too large: at most {megabytes} MB and {megapixels} megapixels. "
    "Send a smaller one.",
    "refusal.source_small": "The picture is too small or too narrow. Send another one.",
    "refusal.source_broken": "The picture is damaged. Save it anew and send it again.",
    "refusal.enclosed_large": "The file is too large, at most {limit} MB. Make it smaller, or split it.",
    "refusal.enclosed_gone": "The file of that message cannot be had any more. Please send it again.",
    "refusal.enclosed_not_in_chat": "I am not in that chat and cannot have its files. Add me, or send it to me.",
    "refusal.enclosed_restricted": "This chat does not let files be downloaded. Send it to me in another one.",
    "refusal.enclosed_kind": "Files of such messages, like stickers, cannot be had. Send the file itself.",
    "refusal.enclosed_broken": "The file came, but it cannot be decrypted. Send it again, or tell an admin.",
    "refusal.enclosed_failed": "The chat platform did not hand out the file. Try again later, or tell an admin.",
    "refusal.no_file": "There is no file. Reply to a file with `/kb add`; on the server there is `moqi kb add FILE`.",
    "refusal.unknown_document": "There is no document “{name}”. /kb lists them.",
    "refusal.unknown_model": "There is no model “{name}”. Perhaps: {near}",
    "refusal.no_such_model": "There is no model “{name}”. /model lists them.",
    "refusal.model_in_use": "{name} is in use already. /model lists the others.",
    "refusal.model_broken": "{name} is not whole, so nothing was changed: {problem}",
    "refusal.synced_document": "“{name}” comes from a folder or wiki that is followed and would come back. "
    "Delete it there.",
    "refusal.unknown_person": "Nobody called “{who}” is known. Mention them with @, or write their id: feishu:ou_123.",
    "refusal.ambiguous_person": "Several people are called “{who}”: {names}. Mention one with @, or write their id.",
    "refusal.gallery_days": "There is no such day. Write today, this week, 2026-11-01 or 2026-11-01..2026-11-20.",
    "refusal.too_many_reservations": "You have {limit} reservations, which is the limit. "
    "/jobs lists them, `/cancel r12` drops one.",
    "refusal.unknown_reservation": "There is no reservation r{reservation}. /jobs lists yours.",
    "refusal.not_yours_reservation": "Reservation r{reservation} belongs to somebody else; "
    "only they and admins may do that.",
    "refusal.reservation_stale": "This card is out of date: r{reservation} was given another time since. "
    "Use its newest card.",
    "refusal.reservation_past": "The time of r{reservation} has passed. Send `/reserve r{reservation} TIME` "
    "to give it another.",
    "refusal.reservation_over": "Reservation r{reservation} is over and cannot be changed. Please book it again.",
    "refusal.reservation_lapsed": "Reservation r{reservation} was not confirmed within a day and has lapsed. "
    "Please book it again.",
    "refusal.reservation_choose": "Reservation r{reservation} still needs a choice of its time: press one on its card.",
    "refusal.unknown_template": "There is no template called “{name}”. {hint}",
    "refusal.unknown_template.there": "There are: {names}.",
    "refusal.unknown_template.none": "There are none yet; `/template save NAME TEXT` keeps one.",
    "refusal.template_no_group": "This is no group chat, so there are no templates of a group here. Write it in the "
    "group, or leave out --for to keep it as your own.",
    "refusal.template_team": "Only admins change the team's templates. Leave out --for to keep it as your own.",
    "refusal.template_in_settings": "“{name}” is a template of policy.yaml and cannot be changed here. "
    "Take another name, or ask an admin to change the file.",
    "refusal.not_yours_template": "The group's template “{name}” is somebody else's: only they and admins change it. "
    "Leave out --for to keep it as your own, or take another name.",
    "refusal.templates_full": "There are {limit} templates ({whose}), which is the most. "
    "Take one away first: `/template delete NAME`.",
    "refusal.windows_full": "All the coming openings of this window are booked. "
    "Take another window, or a time such as `--at tomorrow 9:00`.",
    "refusal.reserve_terminal": "A terminal cannot book: there would be nowhere to deliver. Please book in a chat.",
}
