//go:build !viewer

package main

import (
	"context"
	"errors"
)

// view says how to get a program that has a window: this one starts on machines without the libraries of X11.
func (a *app) view(context.Context, []string, *runFlags) error {
	return failure(exitUsage, errors.New("this program was built without the viewer: run 'make view', or build with -tags viewer (needs the X11 development files: scripts/setup viewer)"))
}
