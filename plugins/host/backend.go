package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
)

// maxDevices is how many devices a plugin may list.
const maxDevices = 1024

// settled is how long a process must have lived for the deaths before it to be forgotten.
const settled = time.Minute

// Backend is a plugin as a backend. It is made by [New].
type Backend struct {
	plugin Plugin
	o      Options

	turn   chan struct{} // holds a token while someone uses what follows
	now    *process      // nil before the first use
	deaths int           // in a row
	died   time.Time     // last
	last   error         // why a process could not be started last
	closed bool
}

var _ backend.Backend = (*Backend)(nil)

// New makes a backend of a plugin. Nothing is started, read or checked before it is used: whether the plugin is trusted is
// looked up when its process is started.
func New(p Plugin, o Options) *Backend {
	return &Backend{plugin: p, o: o.withDefaults(), turn: make(chan struct{}, 1)}
}

// Name is the plugin's name.
func (b *Backend) Name() string { return b.plugin.Name }

// Devices starts the plugin's process if need be and lists its devices.
//
// Errors: [ErrNotTrusted], [ErrChanged] and others that are [backend.ErrNoDevice]; [backend.ErrPluginExited].
func (b *Backend) Devices(ctx context.Context) ([]backend.DeviceInfo, error) {
	p, err := b.process(ctx)
	if err != nil {
		return nil, err
	}
	var r *pb.ListDevicesResponse
	err = p.due(ctx, "ListDevices", func(ctx context.Context) (err error) {
		r, err = p.client.ListDevices(ctx, &pb.ListDevicesRequest{})
		return err
	})
	if err != nil {
		return nil, err
	}
	list, err := decodeDevices(b.plugin.Name, r.GetDevices())
	if err != nil {
		p.violated(fmt.Errorf("list of devices: %w", err))
		return nil, p.gone()
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("plugin %q: %w", b.plugin.Name, backend.ErrNoDevice)
	}
	return list, nil
}

func decodeDevices(name string, from []*pb.DeviceInfo) ([]backend.DeviceInfo, error) {
	if len(from) > maxDevices {
		return nil, fmt.Errorf("want at most %d devices, got %d", maxDevices, len(from))
	}
	seen := map[string]bool{}
	list := make([]backend.DeviceInfo, len(from))
	for i, d := range from {
		info, err := decodeDevice(name, d)
		if err != nil {
			return nil, fmt.Errorf("device %d: %w", i, err)
		}
		if seen[info.ID] {
			return nil, fmt.Errorf("device %d: the id %.80q is that of another", i, info.ID)
		}
		seen[info.ID] = true
		list[i] = info
	}
	return list, nil
}

func decodeDevice(name string, d *pb.DeviceInfo) (backend.DeviceInfo, error) {
	info, err := wire.DecodeDevice(d)
	if err == nil && info.Backend != name {
		err = fmt.Errorf("want backend %q, got %.80q", name, info.Backend)
	}
	return info, err
}

// Open starts the plugin's process if need be and opens a device.
//
// Errors: those of [Backend.Devices], and of the plugin.
func (b *Backend) Open(ctx context.Context, id string) (backend.Device, error) {
	p, err := b.process(ctx)
	if err != nil {
		return nil, err
	}
	d := &device{p: p}
	d.object.id = p.newID()
	r, err := p.client.OpenDevice(ctx, &pb.OpenDeviceRequest{DeviceId: id, Device: d.object.id})
	if err != nil {
		if !p.answered(ctx, err) {
			p.forget("OpenDevice", d.object.id)
		}
		return nil, p.result(ctx, err)
	}
	if d.info, err = decodeDevice(b.plugin.Name, r.GetInfo()); err == nil && d.info.ID != id {
		err = fmt.Errorf("want id %q, got %.80q", id, d.info.ID)
	}
	if err != nil {
		p.violated(fmt.Errorf("device that was opened: %w", err))
		return nil, p.gone()
	}
	return d, nil
}

// process is the running process; it is started when there is none.
func (b *Backend) process(ctx context.Context) (*process, error) {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if b.closed {
		return nil, fmt.Errorf("plugin %q: %w", b.plugin.Name, backend.ErrClosed)
	}
	if b.now != nil {
		if b.now.alive() == nil {
			return b.now, nil
		}
		select {
		case <-b.now.ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		b.mourn(b.now.began, b.now.gone())
		b.now = nil
	}
	if err := b.rest(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	p, err := b.launch(ctx)
	if errors.Is(err, backend.ErrPluginExited) && ctx.Err() == nil {
		b.mourn(began, err)
	}
	if err != nil {
		return nil, err
	}
	b.now = p
	return p, nil
}

func (b *Backend) launch(ctx context.Context) (*process, error) {
	pins, err := Pins(b.o.LockPath)
	if err != nil {
		return nil, fmt.Errorf("plugin %q: %w: %w", b.plugin.Name, ErrNotTrusted, err)
	}
	pin, ok := pins[b.plugin.Name]
	if err := b.plugin.Err; err != nil {
		return nil, fmt.Errorf("plugin %q: %w: %w", b.plugin.Name, backend.ErrNoDevice, err)
	}
	if !ok {
		return nil, explain(b.plugin.Name, ErrNotTrusted)
	}
	return launch(ctx, b.plugin, pin, b.o)
}

// mourn counts a death.
func (b *Backend) mourn(began time.Time, why error) {
	b.died, b.last = time.Now(), why
	if b.died.Sub(began) > settled {
		b.deaths = 0
	}
	b.deaths++
}

// rest waits until the next process may be started.
func (b *Backend) rest(ctx context.Context) error {
	if b.deaths == 0 {
		return nil
	}
	if b.deaths > max(b.o.Limits.Restarts, 0) {
		return fmt.Errorf("%w; it has ended %d times in a row and is not started again", b.last, b.deaths)
	}
	pause := min(b.o.Limits.Pause<<(b.deaths-1), 10*time.Second)
	select {
	case <-time.After(time.Until(b.died.Add(pause))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the plugin's process. Devices that are still open return [backend.ErrClosed] from then on.
func (b *Backend) Close() error {
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	b.closed = true
	if b.now != nil {
		b.now.quit()
	}
	return nil
}
