package vk

import (
	"errors"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

// openLoader opens the first library of names that has vkGetInstanceProcAddr. A
// bare name is looked for in the system's folder only, so that a library planted
// beside a program or a document is not run.
func openLoader(names []string) (proc unsafe.Pointer, name string, err error) {
	var errs []error
	for _, name := range names {
		lib := windows.NewLazyDLL(name)
		if name == filepath.Base(name) {
			lib = windows.NewLazySystemDLL(name)
		}
		p := lib.NewProc("vkGetInstanceProcAddr")
		if err := p.Find(); err != nil {
			errs = append(errs, err)
			continue
		}
		addr := p.Addr() // of code, which does not move
		return *(*unsafe.Pointer)(unsafe.Pointer(&addr)), name, nil
	}
	return nil, "", errors.Join(errs...)
}
