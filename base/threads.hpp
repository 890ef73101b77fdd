#pragma once

namespace namm {

/// Threads for a parallel loop that may have `wanted`: 1 in a child that fork() made after this library was loaded. The child has
/// none of the threads that its parent's OpenMP keeps for the next loop, and would wait for them without end.
int usable_threads(int wanted);

}  // namespace namm
