// Package backend is the contract between graphs and the devices that run them. It is small on purpose: whoever
// implements [Backend] and passes the conformance suite is a first-class device of resnet-run.
//
// # Glossary
//
//   - Backend: a family of devices behind one driver stack ("vulkan", "reference", a plugin process).
//   - Device: one opened device; it owns the memory of its buffers and executables.
//   - Executable: a graph compiled for a device, for one batch size; all slow work is behind it.
//   - Buffer: a tensor in the device's memory.
//
// # Life cycle
//
// List ([Backend.Devices], opens nothing), open, ask [Device.Supports] node by node, [Device.Compile], make buffers,
// then any number of: write inputs, [Executable.Run], read outputs. Close executables and buffers before their device.
//
// # What it does not do
//
// No file formats, no pictures, no partition of a graph over devices: that is the scheduler's work, on top of this.
package backend

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/resnet-run/resnet-run/graph"
)

// Errors that a caller decides by; find them with errors.Is.
var (
	// ErrUnsupported: the device cannot run this node or graph; another one may.
	ErrUnsupported = errors.New("unsupported")
	// ErrOutOfMemory: not enough memory on the device (or for it); a smaller batch may fit.
	ErrOutOfMemory = errors.New("out of memory")
	// ErrDeviceLost: the device is gone or its state is unknown; close it and open it again.
	ErrDeviceLost = errors.New("device lost")
	// ErrClosed: the backend object was closed before the call.
	ErrClosed = errors.New("closed")
	// ErrNoDevice: the backend has no usable device; the text says what to install.
	ErrNoDevice = errors.New("no device")
	// ErrPluginExited: the process behind the device has ended, and what it held is gone with it; another device may do the work.
	ErrPluginExited = errors.New("plugin exited")
)

// Backend is a family of devices. It is meant to be implemented outside this module too.
// All methods are safe for concurrent use.
type Backend interface {
	// Name is the backend's name in selections and reports: lower-case letters, digits and dashes.
	Name() string
	// Devices lists what could be opened, best first. It opens and allocates nothing on a device.
	//
	// Errors: ErrNoDevice when there is none.
	Devices(ctx context.Context) ([]DeviceInfo, error)
	// Open opens a device by an ID that Devices listed.
	//
	// Errors: ErrNoDevice when there is no such device, ErrOutOfMemory, ErrDeviceLost.
	Open(ctx context.Context, id string) (Device, error)
}

// Variants is an optional ability of a Backend: the same devices can be made to work in other ways, such as with another precision.
type Variants interface {
	// Variant returns the backend for which a selection "name@variant" asks. Its Name and the Backend of its devices are that whole.
	//
	// Errors: a variant that there is not; the text lists those that there are.
	Variant(name string) (Backend, error)
}

// Device is an opened device. All methods are safe for concurrent use.
type Device interface {
	// Info returns facts about the device; they never change.
	Info() DeviceInfo
	// Supports reports whether the device can run this concrete node, with its attributes, shapes and dtypes. The
	// answer binds: nil means that a graph of such nodes compiles, runs and is right; an error means that Compile
	// refuses too. A refusal wraps ErrUnsupported and names the attribute in the way. A device that finds out in Compile
	// that it computes a node wrongly refuses it there, and here from then on.
	Supports(n *graph.Node) error
	// Compile does all the slow work: weights to the device, kernels, memory plan. The graph must be bound
	// (see [graph.Graph.Bind]); it and its data may be dropped after the call. Parameters may be lazy: an implementation
	// that reads them with Float32s asks [graph.Graph.DataErr] after the last read, and returns what it says.
	//
	// Errors: ErrUnsupported, ErrOutOfMemory, ErrDeviceLost, ErrClosed, the context's error, or an invalid graph.
	Compile(ctx context.Context, g *graph.Graph) (Executable, error)
	// NewBuffer allocates a tensor in the device's memory; its contents are undefined. The caller closes it.
	//
	// Errors: ErrOutOfMemory, ErrUnsupported for an element type the device cannot store, ErrDeviceLost, ErrClosed.
	NewBuffer(ctx context.Context, t graph.TensorType) (Buffer, error)
	// Close releases the device. Buffers and executables should be closed before; calls on those that were not
	// return ErrClosed. A second Close does nothing.
	io.Closer
}

// Executable is a compiled graph. Run is safe for concurrent use (runs may take turns).
type Executable interface {
	// Signature tells the inputs and outputs in the order that Run takes them.
	Signature() graph.Signature
	// Run computes the outputs from the inputs and returns when they can be read. Buffers must be of the device
	// that compiled the executable and of the types in the signature; they may be others in each run. One buffer may be
	// given for several inputs. An output must not be given twice nor be an input too: nothing is computed in place. A
	// run whose buffers do not fit or are shared in that way is an error and writes nothing. On other errors, a
	// cancelled context among them, the contents of the outputs are undefined. On any error the inputs are unchanged,
	// and the executable and the device stay usable (but for ErrDeviceLost).
	//
	// Errors: *graph.ShapeError for a buffer that does not fit, ErrClosed, ErrDeviceLost, ErrOutOfMemory, the context's error.
	Run(ctx context.Context, in, out []Buffer) error
	io.Closer
}

// Buffer is a tensor in a device's memory, row-major without padding, elements little-endian. A buffer is used by
// one call at a time, Run included; the contents stay until the next write.
type Buffer interface {
	// Type is the element type and shape.
	Type() graph.TensorType
	// Write copies the whole tensor from src, which may be reused on return.
	//
	// Errors: *graph.ShapeError when len(src) is not Type().SizeBytes(), ErrClosed, ErrDeviceLost.
	Write(ctx context.Context, src []byte) error
	// Read copies the whole tensor into dst, after all runs that write it.
	//
	// Errors: as Write.
	Read(ctx context.Context, dst []byte) error
	io.Closer
}

// DeviceType ranks devices by kind. The zero value is invalid.
type DeviceType uint8

// The kinds of devices.
const (
	InvalidDevice DeviceType = iota
	DiscreteGPU
	IntegratedGPU
	VirtualGPU
	CPU   // software, including Vulkan drivers that run on the CPU
	Other // accelerators that are none of the above
)

// String returns "discrete GPU", "integrated GPU", "virtual GPU", "CPU" or "other".
func (t DeviceType) String() string {
	switch t {
	case DiscreteGPU:
		return "discrete GPU"
	case IntegratedGPU:
		return "integrated GPU"
	case VirtualGPU:
		return "virtual GPU"
	case CPU:
		return "CPU"
	case Other:
		return "other"
	}
	return fmt.Sprintf("devicetype(%d)", uint8(t))
}

// MarshalText writes the String form.
func (t DeviceType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// DeviceInfo is what can be known of a device without opening it.
type DeviceInfo struct {
	Backend     string     `json:"backend"`
	ID          string     `json:"id"`   // stable while the machine is unchanged; a UUID where the driver has one
	Name        string     `json:"name"` // as the driver tells it
	Type        DeviceType `json:"type"`
	Driver      string     `json:"driver"`       // name and version of the driver
	API         string     `json:"api"`          // version of the driver interface, for example "Vulkan 1.3.230"
	MemoryBytes int64      `json:"memory_bytes"` // of the largest heap local to the device, 0 when unknown
	// Properties holds further facts for people and reports, by name, in the driver's terms.
	Properties map[string]string `json:"properties,omitempty"`
}

// Profiler is an optional ability of an Executable: the device's own time per node.
type Profiler interface {
	// Profile runs once and returns the times in the order of execution.
	Profile(ctx context.Context, in, out []Buffer) ([]NodeTime, error)
}

// NodeTime is the device time of one step of an executable. A node may have several steps, or none.
type NodeTime struct {
	Node    string // the node's name in the compiled graph; empty for a step that belongs to none, such as a copy
	Kernel  string // what ran for it
	Seconds float64
	// Reason says in a few words why that kernel was chosen, empty when there was no choice.
	Reason string
}
