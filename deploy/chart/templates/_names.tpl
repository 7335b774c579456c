{{/* Names, labels and what all pods have in common. */}}

{{- define "binder.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "binder.sessions" -}}
{{- .Values.sessions.namespace | default (printf "%s-sessions" (include "binder.name" .)) -}}
{{- end -}}

{{- define "binder.builds" -}}
{{- .Values.builds.namespace | default (printf "%s-builds" (include "binder.name" .)) -}}
{{- end -}}

{{- define "binder.labels" -}}
app.kubernetes.io/name: binder
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* What finds the pods of a part: a list of the root and the part's name. */}}
{{- define "binder.selector" -}}
app.kubernetes.io/name: binder
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "binder.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "binder.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "binder.pullSecrets" -}}
{{- $names := .Values.images.pullSecrets -}}
{{- if .Values.registry.password -}}
{{- $names = append $names (printf "%s-registry" (include "binder.name" .)) -}}
{{- end -}}
{{- with $names }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* Where the pods of a part may run, and how many of its parts on one node: a list of the root and the part's name. */}}
{{- define "binder.placement" -}}
{{- $root := index . 0 -}}
{{- $part := index $root.Values (index . 1) -}}
{{- with $part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "binder.selector" . | nindent 8 }}
{{- end -}}
