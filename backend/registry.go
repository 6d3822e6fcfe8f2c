package backend

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// Registry holds backends by name. It is safe for concurrent use; the zero value is empty and ready.
type Registry struct {
	mu sync.Mutex
	m  map[string]Backend
}

// Register adds a backend. A second one of the same name is an error.
func (r *Registry) Register(b Backend) error {
	name := b.Name()
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("register backend %q: want a name of lower-case letters, digits and dashes", name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.m[name]; ok {
		return fmt.Errorf("register backend %q: the name is taken", name)
	}
	if r.m == nil {
		r.m = map[string]Backend{}
	}
	r.m[name] = b
	return nil
}

// Names returns the names of the backends, sorted.
func (r *Registry) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := make([]string, 0, len(r.m))
	for n := range r.m {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Backend returns the backend of that name, or with "name@variant" what its [Variants] ability makes of it. The error for an unknown
// one lists those that are known.
func (r *Registry) Backend(name string) (Backend, error) {
	base, variant, varied := strings.Cut(name, "@")
	r.mu.Lock()
	b := r.m[base]
	r.mu.Unlock()
	if b == nil {
		return nil, fmt.Errorf("select backend %q: unknown, want one of %s", name, strings.Join(r.Names(), ", "))
	}
	if !varied {
		return b, nil
	}
	v, ok := b.(Variants)
	if !ok {
		return nil, fmt.Errorf("select backend %q: %s has no variants", name, base)
	}
	b, err := v.Variant(variant)
	if err != nil {
		return nil, fmt.Errorf("select backend %q: %w", name, err)
	}
	return b, nil
}

// Select finds the device that sel names among the list of one backend: an index in the list, an ID (or the
// beginning of one, at least 4 characters), or a part of the name in any case. An empty sel is the first device.
//
// Errors: ErrNoDevice when nothing fits or several names do; the text lists the devices.
func Select(list []DeviceInfo, sel string) (DeviceInfo, error) {
	if len(list) == 0 {
		return DeviceInfo{}, fmt.Errorf("select device %q: %w", sel, ErrNoDevice)
	}
	if sel == "" {
		return list[0], nil
	}
	if i, err := strconv.Atoi(sel); err == nil && len(sel) < 4 {
		if i >= 0 && i < len(list) {
			return list[i], nil
		}
		return DeviceInfo{}, fmt.Errorf("select device %d: %w of that index: %s", i, ErrNoDevice, describe(list))
	}
	var found []DeviceInfo
	want := strings.ToLower(sel)
	for _, d := range list {
		if strings.EqualFold(d.ID, sel) {
			return d, nil
		}
		byID := len(sel) >= 4 && strings.HasPrefix(strings.ToLower(d.ID), want)
		if byID || strings.Contains(strings.ToLower(d.Name), want) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return DeviceInfo{}, fmt.Errorf("select device %q: %w of that name or UUID: %s", sel, ErrNoDevice, describe(list))
	}
	return DeviceInfo{}, fmt.Errorf("select device %q: %w is meant alone: %s", sel, ErrNoDevice, describe(found))
}

func describe(list []DeviceInfo) string {
	parts := make([]string, len(list))
	for i, d := range list {
		parts[i] = fmt.Sprintf("%d %q (%s)", i, d.Name, d.ID)
	}
	return strings.Join(parts, "; ")
}

// Open opens the device that the selection "backend[:device]" names; see [Select] for the second part.
func (r *Registry) Open(ctx context.Context, selection string) (Device, error) {
	name, sel, _ := strings.Cut(selection, ":")
	b, err := r.Backend(name)
	if err != nil {
		return nil, err
	}
	list, err := b.Devices(ctx)
	if err != nil {
		return nil, fmt.Errorf("list devices of backend %q: %w", name, err)
	}
	info, err := Select(list, sel)
	if err != nil {
		return nil, fmt.Errorf("backend %q: %w", name, err)
	}
	d, err := b.Open(ctx, info.ID)
	if err != nil {
		return nil, fmt.Errorf("open device %q of backend %q: %w", info.Name, name, err)
	}
	return d, nil
}

// Unsupported makes the error by which a device refuses a node: it wraps ErrUnsupported and names the attribute.
func Unsupported(attr, want, got string) error {
	return fmt.Errorf("%w: %s: want %s, got %s", ErrUnsupported, attr, want, got)
}

// IsUnsupported reports whether err is a refusal rather than a failure.
func IsUnsupported(err error) bool { return errors.Is(err, ErrUnsupported) }
