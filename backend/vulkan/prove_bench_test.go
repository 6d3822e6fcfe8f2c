package vulkan

import (
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
	"github.com/resnet-run/resnet-run/graph/pass"
)

// BenchmarkFirstCompile times the compilation of resnet50 at 224 on a device that knows nothing yet, with the proofs of its
// kernels and without. The figures of docs/tuning.md are from here: -benchtime 3x.
func BenchmarkFirstCompile(b *testing.B) {
	if !vktest.UseTestDrivers() {
		b.Skip("no Vulkan test driver is installed")
	}
	g, err := pass.Run(seededNetwork(b, "resnet50", 1, 224), pass.Default())
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		opts Options
	}{{"proved", Options{NoCache: true}}, {"unproved", Options{NoCache: true, Unproved: true}}} {
		be := New(c.opts)
		list, err := be.Devices(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for _, info := range list {
			b.Run(c.name+"/"+info.Name, func(b *testing.B) {
				for range b.N {
					b.StopTimer()
					d, err := be.Open(b.Context(), info.ID)
					if err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
					e, err := d.Compile(b.Context(), g)
					b.StopTimer()
					if err != nil {
						b.Fatal(err)
					}
					e.Close()
					d.Close()
				}
			})
		}
	}
}
