// What Go's runtime needs of Windows and Wine before version 9 has not: random bytes from bcryptprimitives.dll. For tests under such a Wine only.
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID, ULONG); // RtlGenRandom, of advapi32.dll

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length) { return SystemFunction036(data, (ULONG)length); }
