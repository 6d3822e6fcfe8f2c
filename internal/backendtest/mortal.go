package backendtest

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// Mortal is a device that may die: then it makes no buffer any more, as when the plugin behind it has exited. Who embeds it says when, and what else ends.
type Mortal struct {
	backend.Device
	dead atomic.Bool
}

// Die ends the device.
func (d *Mortal) Die() { d.dead.Store(true) }

// Alive is why nothing works any more, nil while it does.
func (d *Mortal) Alive() error {
	if d.dead.Load() {
		return fmt.Errorf("%w: it ended with status 7", backend.ErrPluginExited)
	}
	return nil
}

// NewBuffer makes a buffer of the device while it lives.
func (d *Mortal) NewBuffer(ctx context.Context, t graph.TensorType) (backend.Buffer, error) {
	if err := d.Alive(); err != nil {
		return nil, err
	}
	return d.Device.NewBuffer(ctx, t)
}
