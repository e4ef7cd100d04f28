{{/* The labels of every object. Give a list: the root, and the component (controller, agent). */}}
{{- define "detnet.labels" -}}
app.kubernetes.io/name: detnet
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/part-of: detnet
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
{{- end }}

{{/* What selects the pods of a component. Never changes: a Deployment's selector cannot. */}}
{{- define "detnet.selector" -}}
app.kubernetes.io/name: detnet
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- define "detnet.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end }}

{{/* The controller's configuration file. */}}
{{- define "detnet.config" -}}
{{- if and (eq .Values.controller.config.sensor.kind "scrape") (not .Values.agent.enabled) }}
{{- fail "controller.config.sensor.kind: scrape needs agents, else every link is blind; set agent.enabled=true, or prometheus and its url" }}
{{- end }}
{{ toYaml .Values.controller.config }}
{{- end }}
