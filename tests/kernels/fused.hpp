#pragma once
#include <string>

#include "kernels/isa.hpp"

/// Sets without fused multiply-adds round twice; the others have to give the twin's bits.
inline bool fused() {
  const std::string isa = namm::kernels::isa_name();
  return isa.rfind("sse", 0) != 0 && isa.rfind("ssse", 0) != 0;
}
