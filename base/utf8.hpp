#pragma once
#include <cstddef>
#include <string_view>

namespace namm {

/// Byte offset of the first byte that is not well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above
/// U+10FFFF); text.size() if all is well.
std::size_t first_invalid_utf8(std::string_view text);

}  // namespace namm
