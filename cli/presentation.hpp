#pragma once
#include <cstddef>
#include <functional>

#include "evolve/protocol.hpp"

namespace namm::cli {

/// As evolve::present, in the same pieces that a host evaluates (they end where an update is due, and are at most as long as the
/// host's chunk), so that it can be watched and interrupted. `after_piece` gets the tokens read so far; if it returns false
/// nothing more is read, and false is returned.
bool present_in_pieces(Host& host, const Memory& memory, const evolve::Prompt& prompt, const evolve::ProtocolSettings& protocol,
                       const std::function<bool(std::size_t tokens)>& after_piece);

}  // namespace namm::cli
