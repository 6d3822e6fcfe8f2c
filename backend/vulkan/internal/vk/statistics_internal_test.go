package vk

import (
	"math"
	"testing"
)

func TestStatisticValues(t *testing.T) {
	for _, c := range []struct {
		format uint32
		bits   uint64
		want   float64
	}{
		{statisticBool32, 0xdeadbeef00000001, 1}, // a driver writes 32 bits of them
		{statisticInt64, math.MaxUint64, -1},
		{statisticUint64, 1 << 40, 1 << 40},
		{statisticFloat64, math.Float64bits(0.25), 0.25},
	} {
		if got := statisticValue(c.format, c.bits); got != c.want {
			t.Errorf("format %d: got %v, want %v", c.format, got, c.want)
		}
	}
	if got := (Statistic{Name: "VGPRs", Value: 120}).String(); got != "VGPRs 120" {
		t.Errorf("got %q", got)
	}
}
