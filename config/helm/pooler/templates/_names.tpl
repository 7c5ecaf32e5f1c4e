{{- define "pooler.labels" -}}
{ app.kubernetes.io/name: pooler, app.kubernetes.io/instance: {{ .Release.Name }}, app.kubernetes.io/version: {{ printf "%q" .Chart.AppVersion }}, app.kubernetes.io/managed-by: {{ .Release.Service }} }
{{- end }}
{{- define "pooler.selector" -}}
{ app.kubernetes.io/name: pooler, app.kubernetes.io/instance: {{ .Release.Name }} }
{{- end }}
{{- define "pooler.secret" -}}
{{ if .Values.existingSecret }}{{ .Values.existingSecret }}{{ else }}{{ .Release.Name }}{{ end }}
{{- end }}
