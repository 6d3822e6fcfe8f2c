package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/backend/schedule"
	"github.com/resnet-run/resnet-run/backend/vulkan"
	"github.com/spf13/pflag"
)

// auto is the value of --backend that takes the first of preferred that has a device.
const auto = "auto"

// preference is a kind of device that auto looks for.
type preference struct {
	backend  string
	discrete bool // not a GPU in the processor, nor a driver that runs there
}

// preferred is the order in which auto looks: a discrete GPU, then what the processor has, and the reference, which is right but
// slow. Between the cpu backend and a GPU that is not discrete, or a driver that runs on the CPU, a measurement decides, see measured.
var preferred = []preference{{"vulkan", true}, {"cpu", false}, {"vulkan", false}, {"reference", false}}

// newRegistry is the one place where backends are put in. What they say from a level on goes to log.
func newRegistry(log io.Writer, level slog.Leveler) *backend.Registry {
	r := &backend.Registry{}
	o := vulkan.Options{Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level}))}
	if isTerminal(log) {
		o.OnProof = (&proofBar{w: log, patience: time.Second}).on
	}
	for _, b := range []backend.Backend{vulkan.New(o), cpu.New(cpu.Options{}), reference.New()} {
		if err := r.Register(b); err != nil {
			panic("resnet-run: bug: " + err.Error())
		}
	}
	return r
}

// deviceFlags choose a device, or several.
type deviceFlags struct {
	backend, device, threads string         // the first two are lists with commas
	tune                     string         // a mode of vulkan.Tuning; empty is the default
	precision                string         // "": as the backends' names say
	schedule                 *scheduleFlags // nil for commands that take the devices as they are
	named                    *listValue     // --device; nil for flags that the program made
}

func (a *app) addDeviceFlags(f *pflag.FlagSet) *deviceFlags {
	d := &deviceFlags{backend: cmp.Or(a.getenv("RESNET_RUN_BACKEND"), auto), device: a.getenv("RESNET_RUN_DEVICE")}
	f.Var(&listValue{text: &d.backend}, "backend", "`NAME[:DEVICE]` of the backend: auto, "+strings.Join(a.registry.Names(), ", ")+"; several with commas, best first")
	d.named = &listValue{text: &d.device}
	f.Var(d.named, "device", "`DEVICE` by index, part of its name, or UUID; see 'resnet-run devices'; several with commas")
	f.StringVar(&d.threads, "threads", cmp.Or(a.getenv("RESNET_RUN_THREADS"), "0"), "`N` threads at most on the CPU; 0 is as many as there are processors, or as the quota of a container allows")
	return d
}

// openDevice opens the device that the flags choose.
func (a *app) openDevice(ctx context.Context, f *deviceFlags) (backend.Device, error) {
	o, fallback, err := a.chosen(ctx, f)
	if err != nil {
		return nil, err
	}
	if f.schedule == nil { // several devices have a fallback only among themselves
		fallback = slices.ContainsFunc(o.Devices, func(m schedule.Member) bool { return m.Device.Info().Backend == fallbackBackend })
	}
	if one := o.Devices[0].Device; len(o.Devices) == 1 && len(o.Place) == 0 && (f.schedule == nil || !a.canFallBack(one)) {
		return one, nil // a schedule has nothing to add
	}
	return a.newSchedule(ctx, o, fallback)
}

// canFallBack tells whether there is another device than this one to fall back to.
func (a *app) canFallBack(dev backend.Device) bool {
	_, err := a.registry.Backend(fallbackBackend)
	return err == nil && dev.Info().Backend != fallbackBackend
}

// openPreferred opens the first device that auto finds, and says so when it is not what everyone wants, a GPU. best: in the precision that is best for it.
func (a *app) openPreferred(ctx context.Context, sel string, best bool) (backend.Device, error) {
	var errs []error
	order := preferred
	for i := 0; i < len(order); i++ {
		p := order[i]
		info, err := a.find(ctx, p, sel)
		var dev backend.Device
		if err == nil {
			name := p.backend
			if best {
				name = a.best(name, info)
			}
			dev, err = a.registry.Open(ctx, name+":"+info.ID)
		}
		if err == nil {
			if len(errs) > 0 && sel == "" && !isGPU(info) { // who named the device knows
				a.note("using the %s backend because: %v", p.backend, errors.Join(errs...))
			}
			return dev, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		errs = appendReason(errs, err)
		if i == 0 && sel == "" && errors.Is(err, errNotDiscrete) {
			var why error
			if order, why = a.measured(ctx, info, best); why != nil {
				errs = append(errs, why)
			}
		}
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("--backend auto: %w", errNotRegistered)
	}
	return nil, errors.Join(errs...)
}

// appendReason leaves out what says nothing, and what was said before: a backend may be asked twice.
func appendReason(errs []error, err error) []error {
	same := func(e error) bool { return e.Error() == err.Error() }
	if errors.Is(err, errNotRegistered) || slices.ContainsFunc(errs, same) {
		return errs
	}
	return append(errs, err)
}

var (
	errNotRegistered = errors.New("no such backend in this program")
	errNotDiscrete   = errors.New("no discrete GPU")
)

// find looks for a device of a preference.
func (a *app) find(ctx context.Context, p preference, sel string) (backend.DeviceInfo, error) {
	b, err := a.registry.Backend(p.backend)
	if err != nil {
		return backend.DeviceInfo{}, errNotRegistered
	}
	list, err := b.Devices(ctx)
	if err != nil {
		return backend.DeviceInfo{}, fmt.Errorf("list devices of backend %q: %w", p.backend, err)
	}
	info, err := backend.Select(list, sel)
	if err != nil {
		return info, fmt.Errorf("backend %q: %w", p.backend, err)
	}
	switch {
	case !p.discrete || info.Type == backend.DiscreteGPU:
		return info, nil
	case info.Type == backend.CPU:
		return info, fmt.Errorf("backend %q: %w: %q runs on the CPU", p.backend, errNotDiscrete, info.Name)
	}
	return info, fmt.Errorf("backend %q: %w: %q is of the kind %q", p.backend, errNotDiscrete, info.Name, info.Type)
}

func isGPU(info backend.DeviceInfo) bool {
	return info.Type == backend.DiscreteGPU || info.Type == backend.IntegratedGPU || info.Type == backend.VirtualGPU
}

// preferredNow says which device auto would take, and why not a discrete GPU; false when there is none.
func (a *app) preferredNow(ctx context.Context) (info backend.DeviceInfo, why error, ok bool) {
	order := preferred
	for i := 0; i < len(order); i++ {
		info, err := a.find(ctx, order[i], "")
		if err == nil {
			return info, why, true
		}
		if i == 0 && errors.Is(err, errNotDiscrete) {
			var figures error
			order, figures = a.measured(ctx, info, true)
			if why = err; figures != nil {
				why = fmt.Errorf("%w; %w", err, figures)
			}
		}
	}
	return backend.DeviceInfo{}, why, false
}
