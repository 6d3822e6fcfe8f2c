package main

import (
	"fmt"
	"strings"

	"github.com/resnet-run/resnet-run/backend/vulkan"
	"github.com/resnet-run/resnet-run/internal/bench"
	"github.com/spf13/pflag"
)

// addPrecision adds --precision.
func addPrecision(f *pflag.FlagSet, to *string) {
	f.StringVar(to, "precision", bench.F32, "store activations and weights as `f32|f16`; f16 is for Vulkan devices, the same as --backend vulkan@f16")
}

// inPrecision makes the name of a backend, as in "vulkan" or "auto", that of its variant of a precision; "" leaves it.
func inPrecision(name, precision string) (string, error) {
	base, variant, varied := strings.Cut(name, "@")
	switch {
	case precision != "" && precision != bench.F32 && precision != bench.F16:
		return "", fmt.Errorf("--precision: want %s or %s, got %.40q", bench.F32, bench.F16, precision)
	case precision != bench.F16:
		return name, nil
	case varied && variant != precision:
		return "", fmt.Errorf("--backend %s and --precision %s: want one precision", name, precision)
	case base == auto:
		base = vulkan.Name
	}
	return base + "@" + precision, nil
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
