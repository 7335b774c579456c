{{/* What the parts of the service are told: settings, and secrets that only they can read. */}}

{{- define "binder.appSecret" -}}
{{- .Values.github.existingSecret | default (printf "%s-app" (include "binder.name" .)) -}}
{{- end -}}

{{- define "binder.databaseSecret" -}}
{{- .Values.database.existingSecret | default (printf "%s-database" (include "binder.name" .)) -}}
{{- end -}}

{{/* Settings that no value of `settings` may say, since the chart does: name → value. */}}
{{- define "binder.settings" -}}
BINDER_URL: {{ required "`url` is missing: where visitors and GitHub reach this service, like https://binder.example.org" .Values.url | quote }}
BINDER_SESSIONS_HOST: {{ .Values.sessionsHost | quote }}
BINDER_LISTEN: "0.0.0.0:8080"
BINDER_DRAIN_SECONDS: {{ .Values.proxy.drainSeconds | quote }}
# Below what is mounted, which is not ours to change.
BINDER_STATE_DIR: /var/lib/binder/state
BINDER_CACHE_DIR: /var/cache/binder/cache
BINDER_ENGINE: kubernetes
BINDER_NAMESPACE: {{ include "binder.sessions" . }}
BINDER_BUILDS_NAMESPACE: {{ include "binder.builds" . }}
BINDER_BUILDER_IMAGE: {{ required "`images.builder` is missing: `binder images --push` makes it" .Values.images.builder | quote }}
BINDER_REGISTRY: {{ required "`registry.repository` is missing: where the images of builds are kept" .Values.registry.repository | quote }}
{{- if .Values.priorities.enabled }}
BINDER_SESSION_PRIORITY_CLASS: {{ include "binder.name" . }}-sessions
{{- end }}
{{- if and .Values.registry.password (not (hasKey .Values.settings "session_pull_secrets")) }}
BINDER_SESSION_PULL_SECRETS: {{ include "binder.name" . }}-registry
{{- end }}
{{- if and .Values.registry.password (not (hasKey .Values.settings "builder_pull_secrets")) }}
BINDER_BUILDER_PULL_SECRETS: {{ include "binder.name" . }}-registry
{{- end }}
{{- if .Values.registry.certificates }}
BINDER_REGISTRY_CERTIFICATES: /run/mirrors/registry.pem
{{- end }}
{{- if .Values.folders.templates }}
BINDER_TEMPLATES: /run/templates
{{- end }}
{{- if and .Values.folders.modules (not (hasKey .Values.settings "modules")) }}
BINDER_MODULES: /run/modules
{{- end }}
BINDER_REGISTRY_USERNAME: {{ .Values.registry.username | quote }}
BINDER_REGISTRY_PLAIN_HTTP: {{ .Values.registry.plainHttp | quote }}
{{- range $name, $value := .Values.settings }}
BINDER_{{ $name | upper }}: {{ if kindIs "slice" $value }}{{ join "," $value | quote }}{{ else if kindIs "float64" $value }}{{ printf "%v" ($value | toJson) | quote }}{{ else }}{{ $value | quote }}{{ end }}
{{- end }}
{{- end -}}

{{/* A list of the root and the part: the App's key, and the password of the registry, are the controller's alone. */}}
{{- define "binder.environment" -}}
{{- $root := index . 0 -}}
{{- $name := include "binder.name" $root -}}
envFrom:
  - configMapRef:
      name: {{ $name }}
env:
  - name: BINDER_DATABASE_URL
    valueFrom:
      secretKeyRef:
        name: {{ include "binder.databaseSecret" $root }}
        key: url
  {{- range list "BINDER_GITHUB_APP_ID" "BINDER_GITHUB_CLIENT_ID" "BINDER_GITHUB_CLIENT_SECRET" "BINDER_GITHUB_WEBHOOK_SECRETS" }}
  - name: {{ . }}
    valueFrom:
      secretKeyRef:
        name: {{ include "binder.appSecret" $root }}
        key: {{ . }}
        optional: true
  {{- end }}
  {{- if $root.Values.mirrors.certificates }}
  {{- range list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE" }}
  - name: {{ . }}
    value: /run/mirrors/certificates.pem
  {{- end }}
  {{- end }}
  {{- if eq (index . 1) "controller" }}
  - name: BINDER_GITHUB_PRIVATE_KEY_FILE
    value: /run/app/private-key.pem
  {{- if $root.Values.registry.password }}
  - name: BINDER_REGISTRY_PASSWORD
    valueFrom:
      secretKeyRef:
        name: {{ $name }}-settings
        key: BINDER_REGISTRY_PASSWORD
  {{- end }}
  {{- end }}
  {{- range $setting, $value := dict "BINDER_METRICS_TOKEN" $root.Values.metricsToken "BINDER_API_TOKEN" $root.Values.apiToken }}
  {{- if $value }}
  - name: {{ $setting }}
    valueFrom:
      secretKeyRef:
        name: {{ $name }}-settings
        key: {{ $setting }}
  {{- end }}
  {{- end }}
{{- end -}}

{{/* Only a process that hangs begins anew: where the store does not answer, a new one would find it no sooner. */}}
{{- define "binder.answers" -}}
ports:
  - name: http
    containerPort: 8080
startupProbe:
  httpGet:
    path: /alive
    port: http
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 150
readinessProbe:
  httpGet:
    path: /health
    port: http
  periodSeconds: 5
  timeoutSeconds: 3
livenessProbe:
  httpGet:
    path: /alive
    port: http
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 6
{{- end -}}

{{/* Where the chart runs the database itself, others begin once it answers, and do not fail meanwhile. */}}
{{- define "binder.waiting" -}}
{{- if not (or .Values.database.existingSecret .Values.database.url) }}
initContainers:
  - name: wait
    image: {{ .Values.images.database | quote }}
    imagePullPolicy: {{ .Values.images.pullPolicy }}
    command:
      - sh
      - -c
      - trap 'exit 1' TERM; for try in $(seq 120); do pg_isready --quiet --host {{ include "binder.databaseSecret" . }} && exit 0; sleep 1; done; exit 1
    resources:
      requests: {cpu: 10m, memory: 16Mi}
      limits: {memory: 64Mi}
    securityContext:
      {{- include "binder.containerSecurity" . | nindent 6 }}
{{- end }}
{{- end -}}

{{/* A list of the root and the part: what says where packages come from is the controller's, which passes it on. */}}
{{- define "binder.mounts" -}}
{{- $folders := (index . 0).Values.folders -}}
{{- $mirrors := (index . 0).Values.mirrors -}}
volumeMounts:
  - name: state
    mountPath: /var/lib/binder
  - name: cache
    mountPath: /var/cache/binder
  - name: temporary
    mountPath: /tmp
  - name: mirrors
    mountPath: /run/mirrors
    readOnly: true
  {{- range $what, $volume := $folders }}
  {{- if $volume }}
  - name: {{ $what }}
    mountPath: /run/{{ $what }}
    readOnly: true
  {{- end }}
  {{- end }}
  {{- if eq (index . 1) "controller" }}
  - name: app
    mountPath: /run/app
    readOnly: true
  {{- if $mirrors.apt }}
  - name: apt
    mountPath: /etc/apt/sources.list.d
    readOnly: true
  {{- end }}
  {{- if $mirrors.pip }}
  - name: pip
    mountPath: /etc/pip.conf
    subPath: pip.conf
    readOnly: true
  {{- end }}
  {{- end }}
{{- end -}}

{{- define "binder.volumes" -}}
{{- $root := index . 0 -}}
{{- $secret := printf "%s-mirrors" (include "binder.name" $root) -}}
volumes:
  - name: state
    emptyDir:
      sizeLimit: 1Gi
  - name: cache
    emptyDir:
      sizeLimit: {{ (index $root.Values (index . 1)).cacheSize }}
  - name: temporary
    emptyDir:
      sizeLimit: 1Gi
  - name: mirrors
    configMap:
      name: {{ $secret }}
  {{- range $what, $volume := $root.Values.folders }}
  {{- if $volume }}
  - name: {{ $what }}
    {{- toYaml $volume | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- if eq (index . 1) "controller" }}
  - name: app
    secret:
      secretName: {{ include "binder.appSecret" $root }}
      defaultMode: 0440
      items:
        - key: private-key.pem
          path: private-key.pem
  {{- range $what, $file := dict "apt" "mirrors.sources" "pip" "pip.conf" }}
  {{- if get $root.Values.mirrors $what }}
  - name: {{ $what }}
    secret:
      secretName: {{ $secret }}
      defaultMode: 0444
      items:
        - key: {{ $file }}
          path: {{ $file }}
  {{- end }}
  {{- end }}
  {{- end }}
{{- end -}}

{{/* Pods begin anew where anything changed that they read at their start. */}}
{{- define "binder.checksums" -}}
binder/settings: {{ include "binder.settings" . | sha256sum }}
binder/mirrors: {{ .Values.mirrors | toJson | sha256sum }}
binder/secrets: {{ list .Values.github .Values.registry .Values.metricsToken .Values.apiToken .Values.database.existingSecret .Values.database.url .Values.database.embedded.password | toJson | sha256sum }}
{{- end -}}
