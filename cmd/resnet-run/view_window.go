//go:build viewer

package main

import (
	"context"
	"errors"

	"github.com/resnet-run/resnet-run/backend/vulkan/present"
	"github.com/resnet-run/resnet-run/internal/viewer/window"
)

// view opens the window and shows pictures in it. The window comes first: the process's Vulkan instance must be made for it, and a machine
// without a display is told from the start.
func (a *app) view(ctx context.Context, args []string, f *runFlags) error {
	w, err := window.Open(window.Options{Title: "resnet-run"})
	if errors.Is(err, present.ErrNone) {
		return failure(exitNoDevice, err)
	}
	if err != nil {
		return err
	}
	defer w.Close()
	a.detail("window: presented by %s", w.Device())
	return a.viewIn(ctx, w, args, f)
}
