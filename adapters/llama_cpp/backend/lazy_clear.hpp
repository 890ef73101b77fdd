#pragma once

namespace namm::llama {

/// From now on, clearing a large CPU buffer of ggml with zeros gives its pages back to the system (they read as zeros afterwards)
/// instead of writing them. A context clears its whole KV cache when it is created; written, it would cost its full size at once
/// although nothing is in it yet. Other buffers behave as before. Call once.
void clear_cpu_buffers_lazily();

}  // namespace namm::llama
