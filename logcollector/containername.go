package logcollector

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// containerName gives "container=NAME image=IMAGE " for a log file of a container, with "pod=NAMESPACE/POD " when Kubernetes made the path;
// "" when nothing tells. root is where /run and /var are, "/" but for tests.
func containerName(root, path string) string {
	target := path
	if t, err := filepath.EvalSymlinks(path); err == nil {
		target = t
	}
	if s := dockerName(filepath.Dir(target)); s != "" {
		return s
	}
	name, pod, id := kubernetesName(path)
	if name == "" {
		return ""
	}
	if id == "" {
		id = containerID(root, name, pod)
	}
	s := "container=" + word(name)
	if image := imageOf(root, id); image != "" {
		s += " image=" + word(image)
	}
	return s + " pod=" + word(pod) + " "
}

// dockerName reads what docker keeps beside the log.
func dockerName(dir string) string {
	var meta struct {
		Name   string
		Config struct{ Image string }
	}
	if !readJSON(filepath.Join(dir, "config.v2.json"), &meta) || meta.Name == "" {
		return ""
	}
	return "container=" + word(strings.TrimPrefix(meta.Name, "/")) + " image=" + word(meta.Config.Image) + " "
}

// kubernetesName takes the two forms of path apart that kubelet makes:
//
//	/var/log/containers/<pod>_<namespace>_<container>-<id>.log
//	/var/log/pods/<namespace>_<pod>_<uid>/<container>/<n>.log
func kubernetesName(path string) (container, pod, id string) {
	if p := strings.Split(strings.TrimSuffix(filepath.Base(path), ".log"), "_"); len(p) == 3 {
		if i := strings.LastIndexByte(p[2], '-'); i > 0 {
			return p[2][:i], p[1] + "/" + p[0], p[2][i+1:]
		}
		return p[2], p[1] + "/" + p[0], ""
	}
	dir := filepath.Dir(path)
	if p := strings.Split(filepath.Base(filepath.Dir(dir)), "_"); len(p) == 3 {
		return filepath.Base(dir), p[0] + "/" + p[1], ""
	}
	return "", "", ""
}

// containerID finds the id of a container of a pod by the link that kubelet makes for its log.
func containerID(root, container, pod string) string {
	namespace, pod, _ := strings.Cut(pod, "/")
	entries, err := os.ReadDir(filepath.Join(root, "var/log/containers"))
	if err != nil {
		return ""
	}
	prefix := pod + "_" + namespace + "_" + container + "-"
	for _, e := range entries {
		if id, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".log"), prefix); ok && hexDigits(id) {
			return id
		}
	}
	return ""
}

// imageOf reads the name of the image from what containerd and CRI-O keep of a running container.
func imageOf(root, id string) string {
	if id == "" || !hexDigits(id) {
		return ""
	}
	for _, dir := range []string{"run/containerd/io.containerd.runtime.v2.task/k8s.io/" + id, "run/containers/storage/overlay-containers/" + id + "/userdata"} {
		var spec struct {
			Annotations map[string]string `json:"annotations"`
		}
		if readJSON(filepath.Join(root, dir, "config.json"), &spec) {
			for _, key := range []string{"io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"} {
				if image := spec.Annotations[key]; image != "" {
					return image
				}
			}
		}
	}
	return ""
}

// readJSON reads a small file.
func readJSON(path string, to any) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 1<<20))
	return err == nil && json.Unmarshal(data, to) == nil
}

func hexDigits(s string) bool {
	for i := range len(s) {
		if c := s[i]; !digit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}

// word keeps a name to one word.
func word(s string) string {
	if s == "" {
		return "-"
	}
	if len(s) > 255 {
		s = s[:255]
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, s)
}
