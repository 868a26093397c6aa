"""One module per command; TABLE says which handles what. A handler runs inside its event's transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot import commands
from bot.context import Context, Handled
from bot.handlers import (
    ask,
    bans,
    documents,
    draw,
    feedback,
    forms,
    gallery,
    inform,
    jobs,
    manage,
    models,
    preview,
    reserve,
    reviews,
    suggest,
    templates,
)

#: Command -> handler. `Any`: each handler names its own command type.
TABLE: dict[type, Callable[[Context, Any], Handled]] = {
    commands.Draw: draw.draw,
    commands.Preview: preview.preview,
    commands.Redo: draw.redo,
    commands.Variation: draw.variation,
    commands.Enlarge: draw.enlarge,
    commands.ShowForm: forms.show,
    commands.Vote: feedback.vote,
    commands.Reserve: reserve.reserve,
    commands.Retime: reserve.retime,
    commands.OnReservation: reserve.act,
    commands.Ask: ask.ask,
    commands.AskPrivately: ask.ask_privately,
    commands.Suggest: suggest.suggest,
    commands.OnSuggestion: suggest.act,
    commands.Conversation: ask.converse,
    commands.New: ask.new,
    commands.Jobs: jobs.listing,
    commands.Gallery: gallery.gallery,
    commands.Cancel: jobs.cancel,
    commands.QuotaShow: inform.quota_show,
    commands.Help: inform.help_,
    commands.Status: inform.status,
    commands.Sources: inform.sources,
    commands.QuotaSet: manage.quota_set,
    commands.QuotaClear: manage.quota_clear,
    commands.QuotaGrant: manage.quota_grant,
    commands.SetRole: manage.set_role,
    commands.Ban: bans.ban,
    commands.Unban: bans.unban,
    commands.Pause: manage.pause,
    commands.Resume: manage.resume,
    commands.TemplateList: templates.listing,
    commands.TemplateShow: templates.show,
    commands.TemplateSave: templates.save,
    commands.TemplateDelete: templates.delete,
    commands.TemplateForm: templates.form,
    commands.KbAdd: documents.kb_add,
    commands.KbList: documents.kb_list,
    commands.KbRemove: documents.kb_remove,
    commands.KbUnanswered: documents.kb_unanswered,
    commands.ModelList: models.model_list,
    commands.ModelUse: models.model_use,
    commands.ReviewList: reviews.listing,
    commands.Decide: reviews.decide,
    commands.Appeal: reviews.appeal,
}
