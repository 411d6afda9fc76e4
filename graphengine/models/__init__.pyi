from .anthropic import AnthropicModel as AnthropicModel
from .base import (
    Closes as Closes,
    KnowsPrices as KnowsPrices,
    Message as Message,
    Model as Model,
    Request as Request,
    Response as Response,
    ToolCall as ToolCall,
    ToolSpec as ToolSpec,
)
from .clouds import AzureModel as AzureModel, BedrockModel as BedrockModel, VertexModel as VertexModel
from .errors import (
    AnswerCut as AnswerCut,
    AnswerRefused as AnswerRefused,
    AnswerTorn as AnswerTorn,
    BadRequest as BadRequest,
    ContextFull as ContextFull,
    ModelBusy as ModelBusy,
    ModelError as ModelError,
    ModelNotReady as ModelNotReady,
    ModelOverloaded as ModelOverloaded,
    ModelTimeout as ModelTimeout,
    ModelTransient as ModelTransient,
    ModelUnavailable as ModelUnavailable,
    ModelUnreachable as ModelUnreachable,
    NoModelServer as NoModelServer,
    NotAuthenticated as NotAuthenticated,
    PriceUnknown as PriceUnknown,
    QuotaExceeded as QuotaExceeded,
    RateLimited as RateLimited,
    UnknownModel as UnknownModel,
)
from .hosted import (
    HostedTool as HostedTool,
    HostsTools as HostsTools,
    code_execution as code_execution,
    web_fetch as web_fetch,
    web_search as web_search,
)
from .limiter import RateLimiter as RateLimiter
from .names import as_model as as_model, model_of as model_of
from .base import RulesModel as RulesModel
from .openai import OpenAIModel as OpenAIModel
from .openai_chat import OpenAIChatModel as OpenAIChatModel
from .parts import Citation as Citation, Cited as Cited
from .placeholder import PlaceholderModel as PlaceholderModel
from .prices import Price as Price
from .pydantic_ai import PydanticAIModel as PydanticAIModel
from .recorded import BadRecording as BadRecording, NotRecorded as NotRecorded, RecordedModel as RecordedModel
from .router import Router as Router
from .scripted import OffScript as OffScript, ScriptedModel as ScriptedModel, calls as calls, cited as cited
from .settings import Settings as Settings
