from .notifications import Notifications as Notifications, Webhook as Webhook, delegate as delegate
from .service.doors import Opening as Opening
from .service.public import PublicRoute as PublicRoute
from .signatures import is_signed as is_signed, secret_for as secret_for
