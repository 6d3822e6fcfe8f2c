package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/schedule"
	"github.com/spf13/pflag"
)

// fallbackBackend is the backend that runs what the chosen devices do not.
const fallbackBackend = "cpu"

// scheduleFlags say how several devices work together.
type scheduleFlags struct {
	fallback, split string
	place           []string
}

func (d *deviceFlags) addScheduleFlags(f *pflag.FlagSet) {
	d.schedule = &scheduleFlags{}
	f.StringVar(&d.schedule.fallback, "fallback", "on", "`on|off`: what no chosen device supports runs on the CPU, and what a lost device had to do on those that are left")
	f.StringVar(&d.schedule.split, "split", schedule.Auto.String(), "divide the graph or the batch among several devices: `auto|graph|batch`")
	f.StringArrayVar(&d.schedule.place, "place", nil, "`PATTERN=DEVICE`: layers whose names fit the pattern run on the device, named as in --backend; of several the first that fits counts")
}

// options reads the flags; what is wrong with them is wrong usage.
func (f *scheduleFlags) options() (o schedule.Options, fallback bool, err error) {
	if f == nil {
		return o, false, nil
	}
	if f.fallback != "on" && f.fallback != "off" {
		return o, false, fmt.Errorf("--fallback: want on or off, got %.40q", f.fallback)
	}
	if o.Split, err = schedule.ParseSplit(f.split); err != nil {
		return o, false, fmt.Errorf("--split: %w", err)
	}
	for _, text := range f.place {
		r, err := schedule.ParseRule(text)
		if err != nil {
			return o, false, fmt.Errorf("--place: %w", err)
		}
		o.Place = append(o.Place, r)
	}
	return o, f.fallback == "on", nil
}

// listValue is a flag that may be given again: what is given is a list with commas.
type listValue struct {
	text *string
	set  bool
}

func (v *listValue) String() string { return *v.text }
func (v *listValue) Type() string   { return "string" }
func (v *listValue) Set(s string) error {
	if v.set {
		s = *v.text + "," + s
	}
	*v.text, v.set = s, true
	return nil
}

// splitList splits at commas, but for those before a space: they are part of a device's name.
func splitList(s string) []string {
	var list []string
	from := 0
	for i := range s {
		if s[i] == ',' && !strings.HasPrefix(s[i+1:], " ") {
			list, from = append(list, s[from:i]), i+1
		}
	}
	return append(list, s[from:])
}

// selection is a device to open.
type selection struct {
	name, backend, device string
	best                  bool // the precision is left to the program
}

// selections pairs --backend and --device: one of either for all of the other, or as many.
func (f *deviceFlags) selections() ([]selection, error) {
	backends, devices := splitList(f.backend), []string{""}
	if f.device != "" {
		devices = splitList(f.device)
	}
	n := max(len(backends), len(devices))
	if len(backends) != n && len(backends) != 1 || len(devices) != n && devices[0] != "" {
		return nil, fmt.Errorf("--backend %s and --device %s: want as many devices as backends, or NAME:DEVICE", f.backend, f.device)
	}
	precision, best := f.precision, f.precision == autoPrecision
	if best {
		precision = ""
	}
	var list []selection
	for i := range n {
		text, err := selectInPrecision(backends[min(i, len(backends)-1)], precision)
		if err != nil {
			return nil, err
		}
		device := devices[min(i, len(devices)-1)]
		name, sel, both := strings.Cut(text, ":")
		switch {
		case name == "":
			return nil, fmt.Errorf("--backend %q: want names of backends", f.backend)
		case both && f.named != nil && !f.named.set: // the environment's device gives way to NAME:DEVICE
			device = sel
		case both && device != "" && device != sel:
			return nil, fmt.Errorf("--backend %s and --device %s name two devices: want one", text, device)
		case both:
			device = sel
		case len(devices) > 1 && len(backends) == 1:
			text += ":" + device
		}
		list = append(list, selection{text, name, device, best})
	}
	return list, nil
}

// openMembers opens what the flags choose.
func (a *app) openMembers(ctx context.Context, f *deviceFlags) (members []schedule.Member, err error) {
	list, err := f.selections()
	if err != nil {
		return nil, failure(exitUsage, err)
	}
	for _, s := range list {
		if _, err := a.registry.Backend(s.backend); err != nil && s.backend != auto {
			return nil, failure(exitUsage, err)
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeMembers(members))
		}
	}()
	for _, s := range list {
		dev, err := a.openSelection(ctx, s)
		if err != nil {
			return members, err
		}
		info := dev.Info()
		same := func(m schedule.Member) bool {
			o := m.Device.Info()
			return o.Backend == info.Backend && o.ID == info.ID
		}
		if slices.ContainsFunc(members, same) {
			err := dev.Close()
			if s.backend != auto {
				return members, failure(exitUsage, errors.Join(fmt.Errorf("--backend %s: %s is named twice", f.backend, info.Name), err))
			}
			continue
		}
		a.detail("device: %s: %s (%v, %s, %s)", info.Backend, info.Name, info.Type, info.Driver, info.API)
		if s.backend == auto {
			s.name = info.Backend
		}
		if slices.ContainsFunc(members, func(m schedule.Member) bool { return m.Name == s.name }) {
			s.name += ":" + s.device
		}
		members = append(members, schedule.Member{Name: s.name, Device: dev})
	}
	return members, nil
}

func (a *app) openSelection(ctx context.Context, s selection) (dev backend.Device, err error) {
	if s.backend == auto {
		dev, err = a.openPreferred(ctx, s.device, s.best)
	} else {
		dev, err = a.openNamed(ctx, s)
	}
	if errors.Is(err, backend.ErrNoDevice) {
		err = failure(exitNoDevice, err)
	}
	return dev, err
}

// openNamed opens a device of a backend that was named, in the precision that is best for it if that was left open.
func (a *app) openNamed(ctx context.Context, s selection) (backend.Device, error) {
	b, err := a.registry.Backend(s.backend)
	if err != nil {
		return nil, err
	}
	name := s.backend
	if _, varies := b.(backend.Variants); varies && s.best {
		info, err := a.find(ctx, preference{backend: name}, s.device)
		if err != nil {
			return nil, err
		}
		name = a.best(name, info)
	}
	return a.registry.Open(ctx, name+":"+s.device)
}

func closeMembers(members []schedule.Member) error {
	var errs []error
	for _, m := range members {
		errs = append(errs, m.Device.Close())
	}
	return errors.Join(errs...)
}

// openFallback finds the device for the fallback: one of those chosen, by its name, or one more. There is none where the program has no such backend.
func (a *app) openFallback(ctx context.Context, members []schedule.Member) (schedule.Member, error) {
	for _, m := range members {
		if m.Device.Info().Backend == fallbackBackend {
			return schedule.Member{Name: m.Name}, nil
		}
	}
	if _, err := a.registry.Backend(fallbackBackend); err != nil {
		return schedule.Member{}, nil
	}
	dev, err := a.registry.Open(ctx, fallbackBackend)
	if err != nil {
		return schedule.Member{}, fmt.Errorf("open the device for the fallback: %w", err)
	}
	return schedule.Member{Name: fallbackBackend, Device: dev}, nil
}

// chosen reads the flags and opens the devices.
func (a *app) chosen(ctx context.Context, f *deviceFlags) (o schedule.Options, fallback bool, err error) {
	threads, err := strconv.ParseUint(f.threads, 10, 12)
	if err != nil {
		return o, false, failure(exitUsage, fmt.Errorf("--threads %q: want a number in 0..4095", f.threads))
	}
	if threads > 0 {
		runtime.GOMAXPROCS(int(threads))
	}
	tuning, err := f.tuning()
	if err != nil {
		return o, false, err
	}
	if o, fallback, err = f.schedule.options(); err != nil {
		return o, false, failure(exitUsage, err)
	}
	if o.Devices, err = a.openMembers(ctx, f); err != nil {
		return o, false, err // they are closed
	}
	for _, m := range o.Devices {
		a.tuned(m.Device, tuning)
	}
	return o, fallback, nil
}

// openSchedule opens what the flags choose as a schedule, be it over one device.
func (a *app) openSchedule(ctx context.Context, f *deviceFlags) (*schedule.Device, error) {
	o, fallback, err := a.chosen(ctx, f)
	if err != nil {
		return nil, err
	}
	return a.newSchedule(ctx, o, fallback)
}

// newSchedule makes one device of those of o, which it takes over.
func (a *app) newSchedule(ctx context.Context, o schedule.Options, fallback bool) (_ *schedule.Device, err error) {
	opened := o.Devices
	if fallback {
		if o.Fallback, err = a.openFallback(ctx, o.Devices); err != nil {
			return nil, errors.Join(err, closeMembers(opened))
		}
		if o.Fallback.Device != nil {
			opened = append(slices.Clone(opened), o.Fallback)
		}
	}
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelInfo
	}
	o.Logger = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	d, err := schedule.New(o)
	if err != nil {
		return nil, failure(exitUsage, errors.Join(err, closeMembers(opened)))
	}
	return d, nil
}
