// Package profile says where the time of a run goes and what limits it: from the device's time of each node, the node's cost
// and the device's measured peak.
package profile
