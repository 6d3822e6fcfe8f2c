package schedule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// Member is a device with the name by which rules, plans and messages call it.
type Member struct {
	Name   string // "" is the backend's name, with #2, #3 … where it is taken
	Device backend.Device
}

// Options say what is scheduled over, and how.
type Options struct {
	// Devices are the chosen ones, best first: of two that are equally good for a node the first has it.
	Devices []Member
	// Fallback is the device for nodes that no chosen one supports: one more, or with a Name and no Device the chosen one of that name.
	// Without it (the zero value) such nodes are an error, and so is the loss of a device.
	Fallback Member
	Place    []Rule
	Split    Split
	// Rates is what the cost model believes of a device; nil is [DefaultRates].
	Rates func(backend.DeviceInfo) Rates
	// Logger takes what people should know: nodes that went to the fallback, lost devices, measured speeds. nil is silence.
	Logger *slog.Logger

	now func() time.Time // for tests; nil is stopwatch.Now
}

// Device runs graphs over its members. It is safe for concurrent use.
type Device struct {
	opts     Options
	log      *slog.Logger
	info     backend.DeviceInfo
	members  []*member // the chosen ones in their order, then the fallback unless it is one of them
	recovers bool      // there is a fallback: a lost member is no error
	weights  *keeper
	ids      atomic.Uint64 // of buffers
	closed   atomic.Bool

	mu       sync.Mutex // of the fields below, and orders Compile before Close
	children map[*executable]struct{}
	said     map[string]bool // messages that were logged

	measuring chan struct{}       // full while speeds are measured; the map belongs to whoever has it
	speeds    map[speedOf]float64 // samples a second
}

// member is a device of the schedule.
type member struct {
	name   string
	dev    backend.Device
	chosen bool
	rates  Rates
	lost   atomic.Bool
}

var (
	_ backend.Device     = (*Device)(nil)
	_ backend.Executable = (*executable)(nil)
	_ backend.Buffer     = (*buffer)(nil)
)

// New makes a device of devices. It takes them over: Close closes them. On an error they are left as they are.
//
// Errors: no device, too many, one without a device, two of a name, and a rule for a name that there is not.
func New(o Options) (*Device, error) {
	d := &Device{
		opts: o, log: o.Logger, recovers: o.Fallback.Device != nil || o.Fallback.Name != "", weights: newKeeper(), children: map[*executable]struct{}{},
		said: map[string]bool{}, measuring: make(chan struct{}, 1), speeds: map[speedOf]float64{},
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.opts.now == nil {
		d.opts.now = stopwatch.Now
	}
	for _, m := range o.Devices {
		if err := d.add(m, true); err != nil {
			return nil, err
		}
	}
	if len(d.members) == 0 {
		return nil, errors.New("schedule: want at least one device, got none")
	}
	if f := o.Fallback; f.Device != nil {
		if err := d.add(f, false); err != nil {
			return nil, err
		}
	} else if f.Name != "" && !slices.Contains(d.names(), f.Name) {
		return nil, fmt.Errorf("schedule: fallback %q: %w of that name, want one of %s", f.Name, backend.ErrNoDevice, strings.Join(d.names(), ", "))
	}
	for _, r := range o.Place {
		if !slices.ContainsFunc(d.members, func(m *member) bool { return m.name == r.Device }) {
			return nil, fmt.Errorf("schedule: rule %s=%s: %w of that name, want one of %s", r.Nodes, r.Device, backend.ErrNoDevice, strings.Join(d.names(), ", "))
		}
	}
	d.rate()
	d.info = d.describe()
	return d, nil
}

func (d *Device) add(m Member, chosen bool) error {
	if m.Device == nil {
		return fmt.Errorf("schedule: member %q: want a device, got nil", m.Name)
	}
	if len(d.members) == maxMembers {
		return fmt.Errorf("schedule: want at most %d devices", maxMembers)
	}
	name, taken := m.Name, d.names()
	if name == "" {
		base := m.Device.Info().Backend
		name = base
		for i := 2; slices.Contains(taken, name); i++ {
			name = fmt.Sprintf("%s#%d", base, i)
		}
	}
	if slices.Contains(taken, name) {
		return fmt.Errorf("schedule: two devices are named %q", name)
	}
	d.members = append(d.members, &member{name: name, dev: m.Device, chosen: chosen})
	return nil
}

func (d *Device) names() []string {
	var names []string
	for _, m := range d.members {
		names = append(names, m.name)
	}
	return names
}

// rate asks for the rates of all members.
func (d *Device) rate() {
	of := d.opts.Rates
	if of == nil {
		of = DefaultRates
	}
	rates := make([]Rates, len(d.members))
	for i, m := range d.members {
		rates[i] = of(m.dev.Info())
	}
	inOrder(rates)
	for i, m := range d.members {
		m.rates = rates[i]
	}
}

// describe makes the facts: those of the chosen device if it is one, else what several have in common.
func (d *Device) describe() backend.DeviceInfo {
	var list []backend.DeviceInfo
	properties := map[string]string{}
	for _, m := range d.members {
		if m.chosen {
			list = append(list, m.dev.Info())
		} else {
			properties["fallback"] = m.name
		}
	}
	info := list[0]
	if len(list) == 1 {
		for k, v := range info.Properties {
			properties[k] = v
		}
		info.Properties = properties
		return info
	}
	each := func(separator string, of func(backend.DeviceInfo) string) string {
		var parts []string
		for _, i := range list {
			parts = append(parts, of(i))
		}
		return strings.Join(parts, separator)
	}
	info.Backend = each(",", func(i backend.DeviceInfo) string { return i.Backend })
	info.ID = each(",", func(i backend.DeviceInfo) string { return i.ID })
	info.Name = each(" + ", func(i backend.DeviceInfo) string { return i.Name })
	info.Driver = each("; ", func(i backend.DeviceInfo) string { return i.Driver })
	info.API = each("; ", func(i backend.DeviceInfo) string { return i.API })
	for _, i := range list[1:] {
		info.MemoryBytes = min(info.MemoryBytes, i.MemoryBytes) // each may have to hold everything; 0 is unknown
	}
	info.Properties = properties
	return info
}

// Info returns the facts of the chosen device, or those of several joined: backends and IDs with commas.
func (d *Device) Info() backend.DeviceInfo { return d.info }

// Supports reports whether some member that may run the node supports it. After the loss of a member the answer may be another.
func (d *Device) Supports(n *graph.Node) error {
	if d.closed.Load() {
		return fmt.Errorf("ask schedule: %w", backend.ErrClosed)
	}
	if n == nil || n.Op == nil || n.Output == nil || slices.Contains(n.Inputs, nil) {
		return backend.Unsupported("node", "an op, inputs and a result", "nil")
	}
	members, err := d.candidates()
	if err != nil {
		return err
	}
	forced := memberOf(n, members, d.opts.Place)
	refused := make([]error, len(members))
	for i, m := range members {
		if refused[i] = m.supports(n); refused[i] == nil && (forced < 0 || forced == i) {
			return nil
		}
	}
	return (&survey{members: members}).refusal(n, refused, forced)
}

// candidates are the members that are not lost.
func (d *Device) candidates() ([]candidate, error) {
	var list []candidate
	for i, m := range d.members {
		if !m.lost.Load() {
			list = append(list, candidate{id: i, name: m.name, chosen: m.chosen, rates: m.rates, supports: m.dev.Supports})
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: none of %s is left", backend.ErrDeviceLost, strings.Join(d.names(), ", "))
	}
	return list, nil
}

// maxTensorBytes bounds one buffer, as the built-in backends do.
const maxTensorBytes = 1 << 31

// NewBuffer makes a tensor in host memory.
func (d *Device) NewBuffer(ctx context.Context, t graph.TensorType) (backend.Buffer, error) {
	if d.closed.Load() {
		return nil, fmt.Errorf("make buffer of %v: %w", t, backend.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("make buffer of %v: %w", t, err)
	}
	if t.DType.SizeBytes() == 0 {
		return nil, fmt.Errorf("make buffer: %w", backend.Unsupported("dtype", "a valid element type", t.DType.String()))
	}
	if t.Shape.Elems() > maxTensorBytes/t.DType.SizeBytes() {
		return nil, fmt.Errorf("make buffer of %v: %w: want at most %d bytes", t, backend.ErrOutOfMemory, maxTensorBytes)
	}
	return &buffer{dev: d, typ: t, id: d.ids.Add(1), use: make(chan struct{}, 1), data: graph.NewTensor(t).Data}, nil
}

// Close ends the executables that were not closed, after their runs in progress, and closes the members.
func (d *Device) Close() error {
	d.mu.Lock()
	was := d.closed.Swap(true)
	var left []io.Closer
	for e := range d.children {
		left = append(left, e)
	}
	d.mu.Unlock()
	if was {
		return nil
	}
	for _, m := range d.members {
		left = append(left, m.dev)
	}
	var errs []error
	for _, c := range left {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// lose takes a member out after an error that tells of its loss.
func (d *Device) lose(m *member, err error) {
	if m.lost.Swap(true) {
		return
	}
	var left []string
	for _, o := range d.members {
		if !o.lost.Load() {
			left = append(left, o.name)
		}
	}
	d.log.Warn("a device is lost and is not used any more", "device", m.name, "left", strings.Join(left, ", "), "error", err)
}

// loseAll takes out the members of whose loss the errors tell; false when there are none.
func (d *Device) loseAll(errs []error) bool {
	any := false
	for _, err := range errs {
		if m := lostBy(err); m != nil {
			d.lose(m, err)
			any = true
		}
	}
	return any
}

// once logs a message that was not logged before with these words.
func (d *Device) once(level slog.Level, msg string, args ...any) {
	if d.first(append([]any{msg}, args...)...) {
		d.log.Log(context.Background(), level, msg, args...)
	}
}

// first tells whether it was not called with these words before.
func (d *Device) first(words ...any) bool {
	key := fmt.Sprint(words...)
	d.mu.Lock()
	defer d.mu.Unlock()
	said := d.said[key]
	d.said[key] = true
	return !said
}
