// Package backendv1 is the generated Go form of backend.proto, the protocol between resnet-run and backends that run as
// processes of their own. docs/plugin-protocol.md is its manual; package plugins/wire translates it to and from the
// types of packages graph and backend.
package backendv1

//go:generate go run github.com/resnet-run/resnet-run/internal/cmd/genproto -dir ../../..
