// How the elements of a tensor are stored, for kernels that do the same to every element: numbers of the dense format, with PACKED
// vectors of four channels, with HALF such vectors of float16. STORED is what lies in memory, T what is computed with.
#ifdef HALF
#include "half.glsl"
#define STORED uvec2
#define WIDEN(v) widen(v)
#define NARROW(v) narrow(v)
#define T vec4
#elif defined(PACKED)
#define STORED vec4
#define WIDEN(v) v
#define NARROW(v) v
#define T vec4
#else
#define STORED float
#define WIDEN(v) v
#define NARROW(v) v
#define T float
#endif
