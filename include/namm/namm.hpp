#pragma once
// All that knows no runtime: policies and what they read, selection, accounting. namm/llama.hpp attaches to llama.cpp,
// namm/strategy.hpp evolves, namm/command_line.hpp is the program.
#include "namm/cache_policy.hpp"
#include "namm/cache_usage.hpp"
#include "namm/content_reader.hpp"
#include "namm/policy.hpp"
#include "namm/selection.hpp"
#include "namm/statistics.hpp"
