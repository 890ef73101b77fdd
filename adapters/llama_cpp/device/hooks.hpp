#pragma once

namespace namm::llama {

/// Puts functions of ours in the place of some of those of every GPU that ggml knows, once for each: a cache that is allocated on
/// one while a scope is active (AttachScope) goes to the scope's instance, and so do its graphs. Contexts without a scope are
/// left as they are. Names, buffer types and streams stay the device's own.
void hook_devices();

}  // namespace namm::llama
