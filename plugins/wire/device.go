package wire

import (
	"fmt"
	"math"
	"regexp"

	"github.com/resnet-run/resnet-run/backend"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
)

var deviceTypes = map[backend.DeviceType]pb.DeviceType{
	backend.DiscreteGPU:   pb.DeviceType_DEVICE_TYPE_DISCRETE_GPU,
	backend.IntegratedGPU: pb.DeviceType_DEVICE_TYPE_INTEGRATED_GPU,
	backend.VirtualGPU:    pb.DeviceType_DEVICE_TYPE_VIRTUAL_GPU,
	backend.CPU:           pb.DeviceType_DEVICE_TYPE_CPU,
	backend.Other:         pb.DeviceType_DEVICE_TYPE_OTHER,
}

var deviceTypesBack = invert(deviceTypes)

// EncodeDevice is the wire form of i.
func EncodeDevice(i backend.DeviceInfo) *pb.DeviceInfo {
	p := &pb.DeviceInfo{Backend: valid(i.Backend), Id: valid(i.ID), Name: valid(i.Name), Type: deviceTypes[i.Type], Driver: valid(i.Driver), Api: valid(i.API),
		MemoryBytes: i.MemoryBytes, Properties: make(map[string]string, len(i.Properties))}
	for k, v := range i.Properties {
		p.Properties[valid(k)] = valid(v)
	}
	return p
}

// valid makes text that a driver gave fit for the wire, which carries UTF-8 only.
func valid(s string) string { return clip(s, math.MaxInt) }

// DecodeDevice is the inverse of [EncodeDevice]. A type of a later version becomes backend.Other.
//
// Errors: a device without ID, name or type, or with negative memory.
func DecodeDevice(p *pb.DeviceInfo) (backend.DeviceInfo, error) {
	if p.GetId() == "" || p.GetName() == "" || p.GetType() == pb.DeviceType_DEVICE_TYPE_UNSPECIFIED || p.GetMemoryBytes() < 0 {
		return backend.DeviceInfo{}, fmt.Errorf("device %.80q: want an ID, a name, a type and no negative memory, got name %.80q, %v, %d bytes",
			p.GetId(), p.GetName(), p.GetType(), p.GetMemoryBytes())
	}
	t, ok := deviceTypesBack[p.Type]
	if !ok {
		t = backend.Other
	}
	i := backend.DeviceInfo{Backend: p.Backend, ID: p.Id, Name: p.Name, Type: t, Driver: p.Driver, API: p.Api, MemoryBytes: p.MemoryBytes}
	if len(p.Properties) > 0 {
		i.Properties = p.Properties
	}
	return i, nil
}

var backendName = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// CheckName checks the name by which a plugin's backend is selected.
//
// Errors: it is not 1 to 64 lower-case letters, digits and dashes.
func CheckName(name string) error {
	if !backendName.MatchString(name) {
		return fmt.Errorf("backend name: want 1 to 64 of a-z, 0-9 and -, got %.80q", name)
	}
	return nil
}

// EncodeTimes is the wire form of a profile, in messages that keep the limits. There is at least one.
func EncodeTimes(times []backend.NodeTime) []*pb.ProfileResponse {
	const perMessage = 1024
	out := []*pb.ProfileResponse{{}}
	for i, t := range times {
		if i > 0 && i%perMessage == 0 {
			out = append(out, &pb.ProfileResponse{})
		}
		m := out[len(out)-1]
		m.Times = append(m.Times, &pb.NodeTime{Node: clip(t.Node, maxFieldBytes), Kernel: clip(t.Kernel, maxFieldBytes), Seconds: t.Seconds, Reason: clip(t.Reason, maxFieldBytes)})
	}
	return out
}

// DecodeTimes appends the times of one message to those before it.
//
// Errors: a time that is negative or not finite, more than [MaxValues] times in all.
func DecodeTimes(times []backend.NodeTime, p *pb.ProfileResponse) ([]backend.NodeTime, error) {
	if len(times)+len(p.GetTimes()) > MaxValues {
		return nil, fmt.Errorf("profile: want at most %d times, got more", MaxValues)
	}
	for _, t := range p.GetTimes() {
		if !(t.GetSeconds() >= 0) || math.IsInf(t.GetSeconds(), 0) {
			return nil, fmt.Errorf("profile: node %.80q: want a finite time of 0 s or more, got %v", t.GetNode(), t.GetSeconds())
		}
		times = append(times, backend.NodeTime{Node: t.GetNode(), Kernel: t.GetKernel(), Seconds: t.GetSeconds(), Reason: t.GetReason()})
	}
	return times, nil
}
