package facts

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// DeviceType is the kind of a device, VkPhysicalDeviceType.
type DeviceType uint32

// Kinds of devices.
const (
	DeviceOther DeviceType = iota
	DeviceIntegrated
	DeviceDiscrete
	DeviceVirtual
	DeviceCPU
)

var deviceTypes = names[DeviceType]{
	DeviceOther: "other", DeviceIntegrated: "integrated", DeviceDiscrete: "discrete", DeviceVirtual: "virtual", DeviceCPU: "cpu",
}

// String returns the name of the kind, such as "discrete".
func (t DeviceType) String() string { return deviceTypes.of("DeviceType", t) }

// MarshalText implements encoding.TextMarshaler.
func (t DeviceType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *DeviceType) UnmarshalText(text []byte) (err error) {
	*t, err = deviceTypes.parse("DeviceType", string(text))
	return err
}

// DriverID tells drivers apart, VkDriverId; 0 is unknown.
type DriverID uint32

// Drivers, by the enum VkDriverId.
const (
	DriverAMDProprietary DriverID = iota + 1
	DriverAMDOpenSource
	DriverRADV
	DriverNVIDIA
	DriverIntelWindows
	DriverIntelMesa
	DriverImagination
	DriverQualcomm
	DriverArm
	DriverSwiftShader
	DriverGGP
	DriverBroadcom
	DriverLavapipe
	DriverMoltenVK
	DriverCoreAVI
	DriverJuice
	DriverVeriSilicon
	DriverTurnip
	DriverV3DV
	DriverPanVK
	DriverSamsung
	DriverVenus
	DriverDozen
	DriverNVK
	DriverImaginationMesa
	DriverHoneykrisp
)

var driverIDs = names[DriverID]{
	0:                    "unknown",
	DriverAMDProprietary: "amd-proprietary", DriverAMDOpenSource: "amdvlk", DriverRADV: "radv", DriverNVIDIA: "nvidia",
	DriverIntelWindows: "intel-windows", DriverIntelMesa: "anv", DriverImagination: "imagination", DriverQualcomm: "qualcomm",
	DriverArm: "arm", DriverSwiftShader: "swiftshader", DriverGGP: "ggp", DriverBroadcom: "broadcom", DriverLavapipe: "llvmpipe",
	DriverMoltenVK: "moltenvk", DriverCoreAVI: "coreavi", DriverJuice: "juice", DriverVeriSilicon: "verisilicon",
	DriverTurnip: "turnip", DriverV3DV: "v3dv", DriverPanVK: "panvk", DriverSamsung: "samsung", DriverVenus: "venus",
	DriverDozen: "dozen", DriverNVK: "nvk", DriverImaginationMesa: "imagination-mesa", DriverHoneykrisp: "honeykrisp",
}

// String returns a short name, such as "radv".
func (d DriverID) String() string { return driverIDs.of("DriverID", d) }

// MarshalText implements encoding.TextMarshaler.
func (d DriverID) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *DriverID) UnmarshalText(text []byte) (err error) {
	*d, err = driverIDs.parse("DriverID", string(text))
	return err
}

// ComponentType is the type of a cooperative matrix's elements, VkComponentTypeKHR.
type ComponentType uint32

// Types of elements.
const (
	Float16 ComponentType = iota
	Float32
	Float64
	Sint8
	Sint16
	Sint32
	Sint64
	Uint8
	Uint16
	Uint32
	Uint64

	BFloat16 ComponentType = 1000141000
)

var componentTypes = names[ComponentType]{
	Float16: "float16", Float32: "float32", Float64: "float64", Sint8: "sint8", Sint16: "sint16", Sint32: "sint32", Sint64: "sint64",
	Uint8: "uint8", Uint16: "uint16", Uint32: "uint32", Uint64: "uint64", BFloat16: "bfloat16",
}

// String returns the name of the type, such as "float16".
func (c ComponentType) String() string { return componentTypes.of("ComponentType", c) }

// MarshalText implements encoding.TextMarshaler.
func (c ComponentType) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *ComponentType) UnmarshalText(text []byte) (err error) {
	*c, err = componentTypes.parse("ComponentType", string(text))
	return err
}

// Scope says which invocations share a cooperative matrix, VkScopeKHR.
type Scope uint32

// Scopes.
const (
	ScopeDevice      Scope = 1
	ScopeWorkgroup   Scope = 2
	ScopeSubgroup    Scope = 3
	ScopeQueueFamily Scope = 5
)

var scopes = names[Scope]{ScopeDevice: "device", ScopeWorkgroup: "workgroup", ScopeSubgroup: "subgroup", ScopeQueueFamily: "queue-family"}

// String returns the name of the scope, such as "subgroup".
func (s Scope) String() string { return scopes.of("Scope", s) }

// MarshalText implements encoding.TextMarshaler.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Scope) UnmarshalText(text []byte) (err error) {
	*s, err = scopes.parse("Scope", string(text))
	return err
}

// SubgroupOps are kinds of subgroup operations, VkSubgroupFeatureFlags.
type SubgroupOps uint32

// Kinds of subgroup operations.
const (
	SubgroupBasic SubgroupOps = 1 << iota
	SubgroupVote
	SubgroupArithmetic
	SubgroupBallot
	SubgroupShuffle
	SubgroupShuffleRelative
	SubgroupClustered
	SubgroupQuad
)

// String lists the operations, such as "basic|vote".
func (o SubgroupOps) String() string {
	var parts []string
	for k, name := range []string{"basic", "vote", "arithmetic", "ballot", "shuffle", "shuffle-relative", "clustered", "quad"} {
		if o>>k&1 != 0 {
			parts = append(parts, name)
		}
	}
	if rest := o >> 8 << 8; rest != 0 {
		parts = append(parts, fmt.Sprintf("0x%x", uint32(rest)))
	}
	return strings.Join(parts, "|")
}

// Version is a Vulkan version, encoded as in VK_MAKE_API_VERSION.
type Version uint32

// String returns the version as in "1.3.230".
func (v Version) String() string {
	return fmt.Sprintf("%d.%d.%d", uint32(v)>>22&0x7f, uint32(v)>>12&0x3ff, uint32(v)&0xfff)
}

// MarshalText implements encoding.TextMarshaler.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *Version) UnmarshalText(text []byte) error {
	var part [3]uint32
	if _, err := fmt.Sscanf(string(text), "%d.%d.%d", &part[0], &part[1], &part[2]); err != nil {
		return fmt.Errorf("parse Vulkan version %q: %w", text, err)
	}
	if part[0] > 0x7f || part[1] > 0x3ff || part[2] > 0xfff {
		return fmt.Errorf("parse Vulkan version %q: a part is too large", text)
	}
	*v = Version(part[0]<<22 | part[1]<<12 | part[2])
	return nil
}

// UUID identifies a device, a driver or a pipeline cache's format; zero where it
// is not known.
type UUID [16]byte

// String returns the UUID in the form 8-4-4-4-12.
func (u UUID) String() string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// MarshalText implements encoding.TextMarshaler.
func (u UUID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Dashes are optional.
func (u *UUID) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(strings.ReplaceAll(string(text), "-", ""))
	if err != nil || len(b) != len(u) {
		return fmt.Errorf("parse UUID %q: want 32 hexadecimal digits", text)
	}
	copy(u[:], b)
	return nil
}

// names are the texts of an enumeration.
type names[E ~uint32] map[E]string

// of returns the text of v, or one such as "Scope(9)" that parse understands.
func (n names[E]) of(kind string, v E) string {
	if s, ok := n[v]; ok {
		return s
	}
	return fmt.Sprintf("%s(%d)", kind, uint32(v))
}

func (n names[E]) parse(kind, text string) (E, error) {
	for v, s := range n {
		if s == text {
			return v, nil
		}
	}
	var v uint32
	if _, err := fmt.Sscanf(text, kind+"(%d)", &v); err != nil {
		return 0, fmt.Errorf("parse %s %q: unknown name", kind, text)
	}
	return E(v), nil
}
