"""What PyInstaller does not see: stubs and SQL, which are read, and modules that are imported by their names."""

from PyInstaller.utils.hooks import (  # pyright: ignore[reportMissingImports, reportMissingModuleSource]
    can_import_module,
    collect_data_files,
    collect_submodules,
    copy_metadata,
)

_SDKS = ("anthropic", "openai", "genai_prices", "genai_prices.data", "botocore.auth", "google.auth", "pydantic_ai")

datas = [*collect_data_files("graphengine"), *copy_metadata("durable-graphengine")]
hiddenimports = [*collect_submodules("graphengine"), *filter(can_import_module, _SDKS)]
