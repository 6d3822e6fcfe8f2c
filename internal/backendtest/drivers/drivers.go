// Package drivers finds the Vulkan drivers that tests run on: Mesa's lavapipe and SwiftShader, or what RESNET_RUN_TEST_ICD names.
package drivers

import (
	"os"
	"path/filepath"
)

// ICDEnv names the environment variable that lists driver manifests (*.json, separated as in PATH) to test instead.
const ICDEnv = "RESNET_RUN_TEST_ICD"

// patterns find the manifests of the software drivers, one driver a line.
var patterns = [][]string{
	{"/usr/share/vulkan/icd.d/lvp_icd*.json", "/usr/local/share/vulkan/icd.d/lvp_icd*.json", "/etc/vulkan/icd.d/lvp_icd*.json"},
	{"/usr/lib/chromium/vk_swiftshader_icd.json", "/usr/lib*/chromium*/vk_swiftshader_icd.json", "/opt/*/*/vk_swiftshader_icd.json"},
}

// Manifests lists the driver manifests that tests use.
func Manifests() []string {
	if list := os.Getenv(ICDEnv); list != "" {
		return filepath.SplitList(list)
	}
	var found []string
	for _, driver := range patterns {
		for _, p := range driver {
			if files, _ := filepath.Glob(p); len(files) > 0 {
				found = append(found, files[0])
				break
			}
		}
	}
	return found
}
