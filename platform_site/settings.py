"""Every setting of the platform, in one pass; `.env.example` explains each variable.

The defaults need no server: SQLite, local folders and Celery's file-system
broker. PostgreSQL, Redis and S3 come by environment variables alone.
"""

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from platform_site.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(BASE_DIR / ".env")

# --- The site -----------------------------------------------------------------
INSECURE_SECRET = "development-only-secret-never-use-it-on-a-network"
SECRET_KEY = env.text("DJANGO_SECRET_KEY", INSECURE_SECRET)
DEBUG = env.flag("DJANGO_DEBUG", True)
ALLOWED_HOSTS = env.words("DJANGO_ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"])
SITE_URL = env.url("SITE_URL", "http://127.0.0.1:8000")
DATA_DIR = env.path("DATA_DIR", BASE_DIR / "data")
DATA_DIR.mkdir(parents=True, exist_ok=True)

if not DEBUG:
    if SECRET_KEY == INSECURE_SECRET or len(SECRET_KEY) < 32:
        raise ImproperlyConfigured("DJANGO_SECRET_KEY must be set to at least 32 random characters in production.")
    if "*" in ALLOWED_HOSTS or not env.text("DJANGO_ALLOWED_HOSTS"):
        raise ImproperlyConfigured("DJANGO_ALLOWED_HOSTS must list the site's host names in production, never *.")

INSTALLED_APPS = [
    "daphne",
    "channels",
    "platform_site.apps.PlatformAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "ninja",
    "platform_site",
    "training",
    "observability",
]
MIDDLEWARE = [
    "platform_site.middleware.trainers_first",
    "platform_site.middleware.request_ids",
    "training.api.edge.problems_only",
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "platform_site.languages.languages",
    "training.people.origin.origins",
    "django.contrib.messages.middleware.MessageMiddleware",
    "platform_site.stores.stores_away",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "platform_site.middleware.content_security_policy",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "platform_site.urls"
ASGI_APPLICATION = "platform_site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_USER_MODEL = "training.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AUTHENTICATION_BACKENDS = ["training.people.sign_in.NameOrEmail"]
PASSWORD_RESET_TIMEOUT = 3 * 3600
SIGN_UP_OPEN = env.flag("SIGN_UP_OPEN", True)
INVITATION_DAYS = env.whole("INVITATION_DAYS", 7, 1)
TRIES_PER_ACCOUNT = env.whole("TRIES_PER_ACCOUNT", 10, 1)
TRIES_PER_ADDRESS = env.whole("TRIES_PER_ADDRESS", 100, 1)
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign-in"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ko", "한국어")]  # each by its own name
LOCALE_PATHS = [BASE_DIR / "platform_site" / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = env.path("STATIC_ROOT", BASE_DIR / "staticfiles")
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "servestatic.storage.CompressedManifestStaticFilesStorage"
    },
}
SERVESTATIC_USE_FINDERS = DEBUG
SERVESTATIC_AUTOREFRESH = DEBUG

# Browsers reach the site over TLS in production; the proxy says so in this header.
HTTPS = SITE_URL.startswith("https://")
TRUST_PROXY_HEADERS = env.flag("TRUST_PROXY_HEADERS")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUST_PROXY_HEADERS else None
SECURE_SSL_REDIRECT = HTTPS and not DEBUG
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS and not DEBUG else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS and not DEBUG
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
CSRF_TRUSTED_ORIGINS = [SITE_URL]
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
WEB_DRAIN_SECONDS = env.number("WEB_DRAIN_SECONDS", 20)
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024 + 64 * 1024  # one upload part of 8 MiB and its envelope

# --- Mail -----------------------------------------------------------------------
MAIL = env.mail("EMAIL_URL", "consolemail://")
EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT = MAIL["EMAIL_BACKEND"], MAIL["EMAIL_HOST"], MAIL["EMAIL_PORT"] or 25
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = MAIL["EMAIL_HOST_USER"], MAIL["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS, EMAIL_USE_SSL = MAIL.get("EMAIL_USE_TLS", False), MAIL.get("EMAIL_USE_SSL", False)
EMAIL_FILE_PATH = MAIL["EMAIL_FILE_PATH"]
EMAIL_TIMEOUT = 10
ALERT_SECRET_KEY = env.text("ALERT_SECRET_KEY")
ALERT_ALLOW_PRIVATE = env.flag("ALERT_ALLOW_PRIVATE")
ALERT_INTERVAL_SECONDS = env.number("ALERT_INTERVAL_SECONDS", 60, 0)
ALERT_SEND_SECONDS = env.number("ALERT_SEND_SECONDS", 20, 0.1)
# fmt: off
ALERT_SCHEMES = env.words("ALERT_SCHEMES", [
    "slack", "discord", "msteams", "workflows", "gchat", "mmost", "mmosts", "rocket", "rockets", "tgram", "matrix",
    "matrixs", "zulip", "webex", "pover", "pbul", "ntfy", "ntfys", "gotify", "gotifys", "pagerduty", "opsgenie",
    "twilio", "mailto", "mailtos", "json", "jsons", "form", "forms", "xml", "xmls",
])
# fmt: on
DEFAULT_FROM_EMAIL = env.text("MAIL_FROM", "Training <training@localhost>")

# --- The database: the truth ---------------------------------------------------
DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{DATA_DIR / 'platform.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32000;",
    }
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}  # a file: threads share it
    Path(DATABASES["default"]["NAME"]).parent.mkdir(parents=True, exist_ok=True)
else:
    DATABASES["default"]["OPTIONS"] = {
        "pool": {"min_size": 1, "max_size": env.whole("DATABASE_POOL_SIZE", 8, 2), "timeout": 10}
    }
DATABASES["default"]["CONN_MAX_AGE"] = 0

# --- Celery and the channel layer: hints, never the truth -------------------------
REDIS_URL = env.url("REDIS_URL", "", ["redis", "rediss"])
CELERY_BROKER_URL = env.url(
    "CELERY_BROKER_URL", REDIS_URL or "filesystem://", ["redis", "rediss", "filesystem", "amqp", "memory"]
)
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = {}
if CELERY_BROKER_URL.startswith("filesystem"):
    CELERY_BROKER_URL = "filesystem://localhost//"  # a host name that kombu does not ask for otherwise
    for folder in ("messages", "processed", "control"):
        (DATA_DIR / "broker" / folder).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(DATA_DIR / "broker" / "messages"),
        "data_folder_out": str(DATA_DIR / "broker" / "messages"),
        "processed_folder": str(DATA_DIR / "broker" / "processed"),
        "control_folder": str(DATA_DIR / "broker" / "control"),
        "polling_interval": 0.1,
    }
CELERY_TASK_DEFAULT_QUEUE = "maintenance"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False  # a long task acknowledged late runs twice once it outlives the visibility timeout
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")
SWEEP_SECONDS = max(1.0, env.number("SWEEP_SECONDS", 5, 0.2))
CELERY_BEAT_SCHEDULE = {
    "reap": {"task": "training.tasks.sweep", "schedule": SWEEP_SECONDS},
    "housekeep": {"task": "training.tasks.housekeep", "schedule": 30.0, "options": {"expires": 30}},
    "deliver": {
        "task": "observability.tasks.deliver",
        "schedule": SWEEP_SECONDS,
        "options": {"queue": "delivery", "expires": 30},
    },
}
CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}
    if REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}

# --- Running jobs --------------------------------------------------------------
TRAINING_MODE = env.choice("TRAINING_MODE", "subprocess", ["subprocess", "kubernetes"])
TRAINER_IMAGE_REGISTRY = env.text("TRAINER_IMAGE_REGISTRY")
if TRAINING_MODE == "kubernetes" and not TRAINER_IMAGE_REGISTRY:
    raise ImproperlyConfigured("TRAINING_MODE=kubernetes needs TRAINER_IMAGE_REGISTRY: where the trainers' images are.")
TRAINER_IMAGE_TAG = env.text("TRAINER_IMAGE_TAG", "latest")
K8S_TRAINING_NAMESPACE = env.text("K8S_TRAINING_NAMESPACE", "training")
K8S_KUBECONFIG = env.text("K8S_KUBECONFIG")
K8S_SLOTS = env.whole("K8S_SLOTS", 4, 1)
K8S_GPU_RESOURCE = env.text("K8S_GPU_RESOURCE", "nvidia.com/gpu")
K8S_CACHE_CLAIM = env.text("K8S_CACHE_CLAIM")
K8S_START_SECONDS = env.number("K8S_START_SECONDS", 1800, 1)
TRAINERS_DIR = env.path("TRAINERS_DIR", BASE_DIR / "trainers")
TRAINER_USER = env.text("TRAINER_USER")
WORK_DIR = env.path("WORK_DIR", DATA_DIR / "work")
DATASET_CACHE_DIR = env.path("DATASET_CACHE_DIR", DATA_DIR / "cache")
DATASET_CACHE_MAX_GB = env.number("DATASET_CACHE_MAX_GB", 50)
CALLBACK_INTERVAL = env.whole("CALLBACK_INTERVAL", 1, 1)
HEARTBEAT_SECONDS = env.number("HEARTBEAT_SECONDS", 10, 0.1)
LEASE_SECONDS = 3 * HEARTBEAT_SECONDS
LOST_GRACE_SECONDS = env.number("LOST_GRACE_SECONDS", 900)
VALIDATE_SECONDS = env.number("VALIDATE_SECONDS", 300, 1)
FINALIZE_SECONDS = env.number("FINALIZE_SECONDS", 60)
CHECKPOINT_SECONDS = env.number("CHECKPOINT_SECONDS", 30)
CANCEL_GRACE_SECONDS = env.number("CANCEL_GRACE_SECONDS", 30)
TERM_GRACE_SECONDS = env.number("TERM_GRACE_SECONDS", 30)
MEMORY_LIMIT_GB = env.number("MEMORY_LIMIT_GB", 0)
TIME_LIMIT_HOURS = env.number("TIME_LIMIT_HOURS", 24, 0.001)
CPU_SLOTS = env.whole("CPU_SLOTS", 1, 1)
MAX_ATTEMPTS = env.whole("MAX_ATTEMPTS", 3, 1)
DELETED_JOBS_DAYS = env.number("DELETED_JOBS_DAYS", 7)
ALLOW_HUB_DOWNLOADS = env.flag("ALLOW_HUB_DOWNLOADS")
SYSTEM_METRICS_SECONDS = env.number("SYSTEM_METRICS_SECONDS", 2, 0.2)

# --- The REST API ----------------------------------------------------------------
API_KEY_CALLS_A_MINUTE = env.whole("API_KEY_CALLS_A_MINUTE", 600, 0)
API_PERSON_CALLS_A_MINUTE = env.whole("API_PERSON_CALLS_A_MINUTE", 1200, 0)

# --- Trying a model on a picture --------------------------------------------------
INFERENCE_MAX_MB = env.whole("INFERENCE_MAX_MB", 8, 1)
INFERENCE_SECONDS = env.number("INFERENCE_SECONDS", 120, 1)
INFERENCE_MEMORY_GB = env.number("INFERENCE_MEMORY_GB", 6, 0.5)
INFERENCE_KEEP_HOURS = env.number("INFERENCE_KEEP_HOURS", 24, 0.01)

# --- Storage ----------------------------------------------------------------------
INTERNAL_STORAGE_URL = env.url("INTERNAL_STORAGE_URL", f"file://{DATA_DIR / 'internal'}", ["file", "s3"])
INTERNAL_STORAGE_ENDPOINT = env.url("INTERNAL_STORAGE_ENDPOINT")
INTERNAL_STORAGE_REGION = env.text("INTERNAL_STORAGE_REGION", "us-east-1")
INTERNAL_STORAGE_ACCESS_KEY = env.text("INTERNAL_STORAGE_ACCESS_KEY")
INTERNAL_STORAGE_SECRET_KEY = env.text("INTERNAL_STORAGE_SECRET_KEY")
EXTERNAL_STORAGE_URL = env.url("EXTERNAL_STORAGE_URL", f"file://{DATA_DIR / 'external'}", ["file", "s3"])
EXTERNAL_STORAGE_ENDPOINT = env.url("EXTERNAL_STORAGE_ENDPOINT")
EXTERNAL_STORAGE_REGION = env.text("EXTERNAL_STORAGE_REGION", "us-east-1")
EXTERNAL_STORAGE_ACCESS_KEY = env.text("EXTERNAL_STORAGE_ACCESS_KEY")
EXTERNAL_STORAGE_SECRET_KEY = env.text("EXTERNAL_STORAGE_SECRET_KEY")
IMPORT_STORAGE_ENDPOINT = env.url("IMPORT_STORAGE_ENDPOINT")
IMPORT_STORAGE_REGION = env.text("IMPORT_STORAGE_REGION", "us-east-1")
IMPORT_STORAGE_ACCESS_KEY = env.text("IMPORT_STORAGE_ACCESS_KEY")
IMPORT_STORAGE_SECRET_KEY = env.text("IMPORT_STORAGE_SECRET_KEY")
IMPORT_S3_PLACES = env.places("IMPORT_S3_PLACES")
UPLOAD_MAX_GB = env.number("UPLOAD_MAX_GB", 50, 0.001)
UPLOAD_KEEP_HOURS = env.number("UPLOAD_KEEP_HOURS", 24, 0.01)
IMPORT_MAX_GB = env.number("IMPORT_MAX_GB", 200, 0.001)
IMPORT_MAX_FILES = env.whole("IMPORT_MAX_FILES", 300_000, 1)
IMPORT_ROOTS = [Path(root).expanduser().resolve() for root in env.words("IMPORT_ROOTS", [str(DATA_DIR / "import")])]

# --- The labeler ------------------------------------------------------------------
LABELER_API_URL = env.url("LABELER_API_URL")
SERVICE_JWT_SECRET = env.text("SERVICE_JWT_SECRET")
if LABELER_API_URL and len(SERVICE_JWT_SECRET) < 32:
    raise ImproperlyConfigured("SERVICE_JWT_SECRET must be set to at least 32 random characters with LABELER_API_URL.")

# --- Tracking tools: each backend's own variables are read by its adapter -----------------
OBSERVABILITY_BACKENDS = env.words("OBSERVABILITY_BACKENDS", ["database"])
OBSERVABILITY_BACKENDS += ["mlflow"] if env.flag("MLFLOW_ENABLED") else []
OBSERVABILITY_BACKENDS += ["tensorboard"] if env.flag("TENSORBOARD_ENABLED") else []
OBSERVABILITY_BACKENDS = list(dict.fromkeys(["database", *OBSERVABILITY_BACKENDS]))
OBSERVABILITY_ADAPTERS = [Path(place).expanduser().resolve() for place in env.words("OBSERVABILITY_ADAPTERS")]
DELIVERY_BACKENDS = env.words("DELIVERY_BACKENDS")
METRICS_TOKEN = env.text("METRICS_TOKEN")
METRICS_NAMES = env.words("METRICS_NAMES", ["metrics/mAP50-95(B)"])
DELIVERY_CALL_SECONDS = env.number("DELIVERY_CALL_SECONDS", 30, 0.1)
DELIVERY_LEASE_SECONDS = env.number("DELIVERY_LEASE_SECONDS", 10, 2)
DELIVERY_RETRY_SECONDS = env.number("DELIVERY_RETRY_SECONDS", 60, 0.1)

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ["DEBUG", "INFO", "WARNING", "ERROR"])
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    # access logs would hold signed addresses
    "loggers": {name: {"level": "WARNING"} for name in ("django.channels.server", "daphne", "httpx", "httpcore")}
    # two lines a second that say "woken", and nothing else
    | {name: {"level": "WARNING"} for name in ("celery.worker.strategy", "celery.app.trace")},
}
