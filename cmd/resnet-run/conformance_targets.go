package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/internal/bench"
	"github.com/resnet-run/resnet-run/internal/report"
)

// allDevices is the value of --backend that means every device of every backend.
const allDevices = "all"

// newConformanceTarget reads "backend:device"; what follows the first colon is the device. Names with commas between them
// are one device, a schedule over several.
func newConformanceTarget(target, threads string) *deviceFlags {
	name, device := report.SplitTarget(target)
	return &deviceFlags{backend: name, device: device, threads: threads}
}

// knowsTarget reports whether there are the backends that a target of a report names.
func (a *app) knowsTarget(target string) error {
	for _, one := range strings.Split(target, ",") {
		name, _, _ := strings.Cut(one, ":")
		if _, err := a.registry.Backend(name); err != nil && name != auto {
			return err
		}
	}
	return nil
}

// conformanceTargets are the devices that the flags mean. A single one is not looked for here: the process that opens it
// does.
func (a *app) conformanceTargets(ctx context.Context, f *conformanceFlags) ([]*deviceFlags, []report.Missing, error) {
	usage := func(format string, args ...any) error { return failure(exitUsage, fmt.Errorf(format, args...)) }
	var names []string
	for i, b := range f.backends {
		if b == allDevices && f.precision != bench.F32 && f.precision != "" {
			return nil, nil, usage("--backend all: want it without --precision")
		}
		var err error
		if f.backends[i], err = selectInPrecision(b, f.precision); err != nil {
			return nil, nil, failure(exitUsage, err)
		}
	}
	for _, b := range f.backends {
		list := strings.Split(b, ",")
		if len(list) > 1 && len(f.backends)+len(f.devices) > 2 {
			return nil, nil, usage("--backend %s: names with commas between them are one device: want it alone", b)
		}
		names = append(names, list...)
	}
	for _, b := range names {
		name, _, _ := strings.Cut(b, ":")
		if name == auto && len(names)+len(f.devices) > 2 {
			return nil, nil, usage("--backend auto: want it alone, or the names of backends")
		}
		if name == auto || name == allDevices {
			continue
		}
		if _, err := a.registry.Backend(name); err != nil {
			return nil, nil, failure(exitUsage, err)
		}
	}
	named := f.set.Changed("device")
	switch {
	case slices.Contains(f.backends, allDevices):
		if len(f.backends) > 1 || named {
			return nil, nil, usage("--backend all: want it alone, without --device")
		}
		found, err := a.listDevices(ctx)
		if err == nil && len(found.Devices) == 0 {
			err = failure(exitNoDevice, errors.New("no backend has a device"))
		}
		var out []*deviceFlags
		for _, d := range found.Devices {
			out = append(out, &deviceFlags{backend: d.Backend, device: d.ID, threads: f.threads})
		}
		return out, found.Missing, err
	case len(f.backends) > 1 && named:
		return nil, nil, usage("--device with several --backend: want --backend NAME:DEVICE")
	case len(f.backends) > 1:
		out, err := a.selectDevices(ctx, f.backends, f.threads)
		return out, nil, err
	case len(f.devices) > 1:
		var list []string
		for _, d := range f.devices {
			if strings.Contains(f.backends[0], ":") {
				return nil, nil, usage("--backend %s and --device %s name two devices: want one", f.backends[0], d)
			}
			list = append(list, f.backends[0]+":"+d)
		}
		out, err := a.selectDevices(ctx, list, f.threads)
		return out, nil, err
	}
	t := newConformanceTarget(f.backends[0], f.threads)
	if t.device != "" && named && f.devices[0] != t.device {
		return nil, nil, usage("--backend %s and --device %s name two devices: want one", f.backends[0], f.devices[0])
	}
	t.device = cmp.Or(t.device, f.devices[0])
	return []*deviceFlags{t}, nil, nil
}

// selectDevices finds what several selections "backend:device" mean; a device that two of them mean is taken once.
func (a *app) selectDevices(ctx context.Context, selections []string, threads string) ([]*deviceFlags, error) {
	found, err := a.listDevices(ctx)
	if err != nil {
		return nil, err
	}
	var out []*deviceFlags
	for _, s := range selections {
		name, sel, _ := strings.Cut(s, ":")
		base, _, _ := strings.Cut(name, "@") // the devices of a variant are those of the backend
		var list []backend.DeviceInfo
		for _, d := range found.Devices {
			if d.Backend == base {
				list = append(list, d.DeviceInfo)
			}
		}
		info, err := backend.Select(list, sel)
		if err != nil {
			for _, m := range found.Missing {
				if m.Backend == base {
					err = fmt.Errorf("%w: %s", err, m.Reason)
				}
			}
			return nil, failure(exitNoDevice, fmt.Errorf("backend %q: %w", name, err))
		}
		t := &deviceFlags{backend: name, device: info.ID, threads: threads}
		if !slices.ContainsFunc(out, func(o *deviceFlags) bool { return *o == *t }) {
			out = append(out, t)
		}
	}
	return out, nil
}

// listTime is how long the backends may take to list their devices.
const listTime = time.Minute

// listDevices asks every backend, in another process where that can be: a driver may not survive the question.
func (a *app) listDevices(ctx context.Context) (report.Devices, error) {
	if a.self == nil {
		return a.findDevices(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	cmd := a.self(limited, "devices", "--format", "json", "--list-only")
	cmd.WaitDelay = grace
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	runErr := cmd.Run()
	if ctx.Err() != nil {
		return report.Devices{}, ctx.Err()
	}
	found, err := report.ReadDevices(&out)
	if err != nil {
		err = fmt.Errorf("list devices in another process: %w", errors.Join(runErr, err, limited.Err()))
	}
	return found, err
}

// findDevices lists the devices of all backends.
func (a *app) findDevices(ctx context.Context) (found report.Devices, err error) {
	for _, name := range a.registry.Names() {
		b, err := a.registry.Backend(name)
		if err != nil {
			return found, err
		}
		list, err := b.Devices(ctx)
		if ctx.Err() != nil {
			return found, ctx.Err()
		}
		if err == nil && len(list) == 0 {
			err = backend.ErrNoDevice
		}
		if err != nil {
			found.Missing = append(found.Missing, report.Missing{Backend: name, Reason: err.Error()})
		}
		for i, d := range list {
			d.Backend = name
			found.Devices = append(found.Devices, report.Device{Index: i, DeviceInfo: d})
		}
	}
	return found, nil
}

// errOtherDevice: the device is not the one that the results so far are of.
var errOtherDevice = errors.New("not the device of the results so far")

// sameDevice compares facts.
func sameDevice(want, got backend.DeviceInfo) error {
	facts := func(d backend.DeviceInfo) map[string]string {
		m := map[string]string{"backend": d.Backend, "id": d.ID, "name": d.Name, "type": d.Type.String(), "driver": d.Driver, "api": d.API}
		for k, v := range d.Properties {
			m["properties."+k] = v
		}
		return m
	}
	w, g := facts(want), facts(got)
	keys := map[string]bool{}
	for _, m := range []map[string]string{w, g} {
		for k := range m {
			keys[k] = true
		}
	}
	var errs []error
	for k := range keys {
		if w[k] != g[k] {
			errs = append(errs, fmt.Errorf("%s: want %q, got %q", k, w[k], g[k]))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return fmt.Errorf("%w: %w", errOtherDevice, errors.Join(errs...))
}
