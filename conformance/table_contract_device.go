package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
)

// otherDevice gives a run a buffer of another device.
type otherDevice struct {
	name string
	swap func(mine, other *tray) (in, out []backend.Buffer)
}

var otherDevices = []otherDevice{
	{"input-of-another-device", func(mine, other *tray) (buffers, buffers) {
		return buffers{mine.in[0], other.in[1]}, mine.out
	}},
	{"output-of-another-device", func(mine, other *tray) (buffers, buffers) {
		return mine.in, buffers{mine.out[0], other.out[1]}
	}},
	{"all-of-another-device", func(_, other *tray) (buffers, buffers) { return other.in, other.out }},
}

// checkOtherDevice opens a second device, and has the first run with its buffers.
func checkOtherDevice(ctx context.Context, b *bench, c otherDevice) (err error) {
	_, e, t, err := b.ready(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(), e.Close()) }()
	dev, err := b.open(ctx)
	if err != nil {
		return fmt.Errorf("open a second device: %w", err)
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	_, other, theirs, err := (&bench{dev: dev, c: b.c}).ready(ctx)
	if err != nil {
		return fmt.Errorf("second device: %w", err)
	}
	defer func() { err = errors.Join(err, theirs.close(), other.Close()) }()
	want, err := again(ctx, e, t)
	if err != nil {
		return err
	}
	if err := errors.Join(t.poisonOutputs(ctx), theirs.poisonOutputs(ctx)); err != nil {
		return err
	}
	in, out := c.swap(t, theirs)
	if err := e.Run(ctx, in, out); err == nil {
		return fmt.Errorf("contract: run with %s: want an error, got none", c.name)
	}
	if err := errors.Join(t.unwritten(ctx), theirs.unwritten(ctx)); err != nil {
		return fmt.Errorf("contract: run with %s: %w", c.name, err)
	}
	if err := b.rightAfterwards(ctx, e, t, want); err != nil {
		return err
	}
	if err := b.rightAfterwards(ctx, other, theirs, want); err != nil {
		return fmt.Errorf("second device: %w", err)
	}
	return nil
}
