package main

import (
	"fmt"
	"strings"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan"
	"github.com/resnet-run/resnet-run/internal/bench"
	"github.com/spf13/pflag"
)

// autoPrecision is float16 on a GPU that has the variant, where its kernels prove themselves as all do, and float32 elsewhere.
const autoPrecision = "auto"

// addAutoPrecision adds --precision for commands whose users want the device's best.
func addAutoPrecision(f *pflag.FlagSet, to *string) {
	f.StringVar(to, "precision", autoPrecision, "store activations and weights as `auto|f32|f16|f16a`; auto is f16 on a GPU and f32 elsewhere, f16a also multiplies in float16, less exactly; both are for Vulkan devices, as --backend vulkan@f16")
}

// best is the selection's precision when it is left to the program: the name with "@f16" for a GPU whose backend has that.
func (a *app) best(name string, info backend.DeviceInfo) string {
	b, err := a.registry.Backend(name)
	if err != nil || info.Type == backend.CPU || strings.Contains(name, "@") {
		return name
	}
	if v, ok := b.(backend.Variants); ok {
		if _, err := v.Variant(bench.F16); err == nil {
			return name + "@" + bench.F16
		}
	}
	return name
}

// addPrecision adds --precision.
func addPrecision(f *pflag.FlagSet, to *string) {
	f.StringVar(to, "precision", bench.F32, "store activations and weights as `f32|f16|f16a`; f16a also multiplies in float16, less exactly; both are for Vulkan devices, as --backend vulkan@f16")
}

// inPrecision makes the name of a backend, as in "vulkan" or "auto", that of its variant of a precision; "" leaves it. A name that says another
// precision is an error.
func inPrecision(name, precision string) (string, error) {
	base, variant, varied := strings.Cut(name, "@")
	switch {
	case precision == "":
		return name, nil
	case precision != bench.F32 && precision != bench.F16 && precision != bench.F16A:
		return "", fmt.Errorf("--precision: want %s, %s, %s, or %s where the command has it, got %.40q", bench.F32, bench.F16, bench.F16A, autoPrecision, precision)
	case precision == bench.F32 && !isPrecision(variant), varied && variant == precision:
		return name, nil
	case varied:
		return "", fmt.Errorf("--backend %s and --precision %s: want one precision", name, precision)
	case base == auto:
		base = vulkan.Name
	}
	return base + "@" + precision, nil
}

// isPrecision tells whether a variant of a backend is one in another precision than float32: "f16", "f16-fenced".
func isPrecision(variant string) bool {
	return strings.HasPrefix(variant, bench.F16)
}

// selectInPrecision is inPrecision of a selection "backend[:device]".
func selectInPrecision(selection, precision string) (string, error) {
	name, rest, both := strings.Cut(selection, ":")
	name, err := inPrecision(name, precision)
	if both {
		name += ":" + rest
	}
	return name, err
}
