from .notifications import Notifications as Notifications, Webhook as Webhook, delegate as delegate
from .service.doors import Opening as Opening
from .signatures import is_signed as is_signed, key_of as key_of
