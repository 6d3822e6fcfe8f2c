package vk

// #include "shim.h"
import "C"

import (
	"fmt"
	"math"
	"strconv"
)

// Executable is machine code that a driver made for a pipeline: of a compute pipeline one, with most drivers.
type Executable struct {
	Name         string
	SubgroupSize int // 0 where the driver does not say
	Statistics   []Statistic
}

// Statistic is one thing that a driver says about an executable. Which there are, and in which unit, is the driver's affair.
type Statistic struct {
	Name, Description string
	Value             float64 // 0 and 1 for booleans
}

// String gives the statistic as "name value".
func (s Statistic) String() string { return s.Name + " " + strconv.FormatFloat(s.Value, 'g', 6, 64) }

// Statistics returns what the driver says about the machine code of p, which was made with [ComputePipeline.Statistics].
func (d *Device) Statistics(p Pipeline) ([]Executable, error) {
	props, err := enumerate("vkGetPipelineExecutablePropertiesKHR", func(n *C.uint32_t, out *C.rr_ExecutableProperties) C.rr_result {
		return C.rr_executables(d.table, C.rr_handle(p), n, out)
	})
	if err != nil {
		return nil, err
	}
	list := make([]Executable, len(props))
	for i := range props {
		list[i] = Executable{Name: C.GoString(&props[i].name[0]), SubgroupSize: int(props[i].subgroupSize)}
		stats, err := enumerate("vkGetPipelineExecutableStatisticsKHR", func(n *C.uint32_t, out *C.rr_ExecutableStatistic) C.rr_result {
			return C.rr_statistics(d.table, C.rr_handle(p), C.uint32_t(i), n, out)
		})
		if err != nil {
			return nil, fmt.Errorf("executable %d: %w", i, err)
		}
		for k := range stats {
			s := &stats[k]
			list[i].Statistics = append(list[i].Statistics, Statistic{
				Name: C.GoString(&s.name[0]), Description: C.GoString(&s.description[0]), Value: statisticValue(uint32(s.format), uint64(s.value)),
			})
		}
	}
	return list, nil
}

// Values of VkPipelineExecutableStatisticFormatKHR.
const (
	statisticBool32  = 0
	statisticInt64   = 1
	statisticUint64  = 2
	statisticFloat64 = 3
)

func statisticValue(format uint32, bits uint64) float64 {
	switch format {
	case statisticBool32:
		return float64(uint32(bits)) // the upper half is not written
	case statisticInt64:
		return float64(int64(bits))
	case statisticFloat64:
		return math.Float64frombits(bits)
	}
	return float64(bits)
}
