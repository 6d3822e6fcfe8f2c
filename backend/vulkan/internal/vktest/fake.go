package vktest

/*
#include <stdint.h>

typedef struct { uint32_t sType; void *next; uint32_t m, n, k, a, b, c, result, saturating, scope; } shape;

static uint32_t total = 1;

// A driver with two shapes, the second of which appears after the first count.
static int32_t fakeMatrices(void *physical, uint32_t *count, shape *out) {
  static const shape all[2] = {
    {1000506001, 0, 16, 8, 32, 0, 3, 1, 2, 0, 3},
    {1000506001, 0, 1, 2, 4, 3, 7, 5, 9, 1, 2},
  };
  (void)physical;
  if (!out) { *count = total; total = 2; return 0; }
  for (uint32_t i = 0; i < *count && i < total; i++) {
    if (out[i].sType != 1000506001) return -3;
    out[i] = all[i];
  }
  if (*count < total) return 5;
  *count = total;
  return 0;
}

static void *fakeMatricesAddress(void) { total = 1; return (void *)fakeMatrices; }
*/
import "C"

import "unsafe"

// FakeCooperativeMatrices is the address of a function with the signature of
// vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR. It reports one shape, and
// when asked for it says that there are two by now: 16×8×32 of float16, sint8,
// float32 and float64 for a subgroup, then 1×2×4 of sint8, uint8, sint32 and
// uint32 for a workgroup, saturating.
func FakeCooperativeMatrices() unsafe.Pointer { return C.fakeMatricesAddress() }
