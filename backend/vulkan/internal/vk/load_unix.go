//go:build unix

package vk

/*
#cgo linux LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"
)

// openLoader opens the first library of names that has vkGetInstanceProcAddr.
func openLoader(names []string) (proc unsafe.Pointer, name string, err error) {
	runtime.LockOSThread() // dlerror is per thread
	defer runtime.UnlockOSThread()
	symbol := C.CString("vkGetInstanceProcAddr")
	defer C.free(unsafe.Pointer(symbol))
	var errs []error
	for _, name := range names {
		cname := C.CString(name)
		lib := C.dlopen(cname, C.RTLD_NOW|C.RTLD_LOCAL)
		C.free(unsafe.Pointer(cname))
		if lib == nil {
			errs = append(errs, errors.New(C.GoString(C.dlerror())))
			continue
		}
		if proc := C.dlsym(lib, symbol); proc != nil {
			return proc, name, nil // stays open as long as the process
		}
		errs = append(errs, fmt.Errorf("%s: no symbol vkGetInstanceProcAddr", name))
		C.dlclose(lib)
	}
	return nil, "", errors.Join(errs...)
}
