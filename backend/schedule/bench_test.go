package schedule

import (
	"context"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
)

// BenchmarkOneDevice compares runs of the cpu backend alone with those of a schedule over it, which has one part: what a schedule costs. Inputs
// are written and outputs read in each round.
func BenchmarkOneDevice(b *testing.B) {
	g := bound(b, fused(b, "resnet50", 1, 224))
	for _, c := range []struct {
		name string
		wrap func(backend.Device) (backend.Device, error)
	}{
		{"alone", func(d backend.Device) (backend.Device, error) { return d, nil }},
		{"scheduled", func(d backend.Device) (backend.Device, error) { return New(Options{Devices: []Member{{"cpu", d}}}) }},
	} {
		b.Run("resnet50/N1/"+c.name, func(b *testing.B) {
			dev, err := cpu.New(cpu.Options{}).Open(context.Background(), "cpu")
			if err != nil {
				b.Fatal(err)
			}
			if dev, err = c.wrap(dev); err != nil {
				b.Fatal(err)
			}
			defer dev.Close()
			s := open(b, dev, g)
			in, out := inputBytes(b, s.sig.Inputs[0].Type, 1), make([]byte, s.sig.Outputs[0].Type.SizeBytes())
			b.ReportAllocs()
			for b.Loop() {
				err := s.in[0].Write(b.Context(), in)
				if err == nil {
					err = s.exec.Run(b.Context(), s.in, s.out)
				}
				if err == nil {
					err = s.out[0].Read(b.Context(), out)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
