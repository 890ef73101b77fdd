#pragma once
#include <string>

namespace namm::llama {

/// What differs between the ggml of this process and the one whose headers this was compiled with, e.g. "clear of a buffer: slot
/// 9 here, 11 there"; "" if nothing does. ggml's version of the backend interface does not tell: it stayed 2 while callbacks were
/// added and operations renumbered. ggml's own functions are asked where they look: they get an object whose fields are all
/// different, and tell which one they took. Changes nothing; costs microseconds.
std::string layout_problem();

}  // namespace namm::llama
