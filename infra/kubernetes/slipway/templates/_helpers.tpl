{{- define "slipway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "slipway.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "slipway.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "slipway.selector" -}}
app.kubernetes.io/name: {{ include "slipway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "slipway.labels" -}}
{{ include "slipway.selector" . }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: slipway
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "slipway.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Name of this installation: what its objects in the models' namespaces are named and found by. */ -}}
{{- define "slipway.stack" -}}
{{- .Values.stack.name | default .Release.Name -}}
{{- end -}}

{{- define "slipway.secret" -}}
{{- .Values.stack.existingSecret | default (printf "%s-stack" (include "slipway.fullname" .)) -}}
{{- end -}}

{{- define "slipway.account" -}}
{{- $account := index .root.Values .part "serviceAccount" -}}
{{- if $account.create -}}
{{- $account.name | default (printf "%s-%s" (include "slipway.fullname" .root) .part) -}}
{{- else -}}
{{- $account.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "slipway.deployment" -}}
{{- .Values.worker.versioning.deployment | default (include "slipway.fullname" .) -}}
{{- end -}}

{{- define "slipway.buildId" -}}
{{- if .Values.worker.versioning.buildId -}}
{{- .Values.worker.versioning.buildId -}}
{{- else if .Values.image.digest -}}
{{- .Values.image.digest | trimPrefix "sha256:" | trunc 12 -}}
{{- else -}}
{{- .Values.image.tag | default .Chart.AppVersion -}}
{{- end -}}
{{- end -}}

{{- /* A build's id as part of an object's name. */ -}}
{{- define "slipway.buildName" -}}
{{- $safe := . | lower | replace "_" "-" | replace "." "-" | replace "+" "-" -}}
{{- printf "%s-%s" ($safe | trunc 12 | trimAll "-") (sha256sum . | trunc 5) -}}
{{- end -}}

{{- /* Changed configuration restarts pods. Of an existing Secret only its name is known here. */ -}}
{{- define "slipway.checksum" -}}
{{- if .Values.stack.existingSecret -}}
{{- pick .Values.stack.temporal "tls" "apiKey" "encryption" | toJson | cat .Values.stack.existingSecret | sha256sum -}}
{{- else -}}
{{- omit .Values.stack "token" | toJson | cat (toJson .Values.builder) (toJson .Values.namespaces) (toJson .Values.server.service) .Values.stack.token | sha256sum -}}
{{- end -}}
{{- end -}}

{{- /* What of Temporal's Secrets is mounted: a list of projections, empty when nothing is. */ -}}
{{- define "slipway.temporalFiles" -}}
{{- $temporal := .Values.stack.temporal -}}
{{- with $temporal.tls.ca.secret -}}
- secret:
    name: {{ . }}
    items:
      - { key: {{ $temporal.tls.ca.key | quote }}, path: ca.crt }
{{ end -}}
{{- with $temporal.tls.clientSecret -}}
- secret:
    name: {{ . }}
    items:
      - { key: tls.crt, path: tls.crt }
      - { key: tls.key, path: tls.key }
{{ end -}}
{{- with $temporal.apiKey.secret -}}
- secret:
    name: {{ . }}
    items:
      - { key: {{ $temporal.apiKey.key | quote }}, path: api-key }
{{ end -}}
{{- with $temporal.encryption.secret -}}
{{- if not $temporal.encryption.keys }}{{ fail "stack.temporal.encryption.keys: which of the Secret's keys to use, the first one to encrypt" }}{{ end -}}
- secret:
    name: {{ . }}
    items:
      {{- range $temporal.encryption.keys }}
      - { key: {{ . | quote }}, path: {{ printf "encryption/%s" . | quote }} }
      {{- end }}
{{ end -}}
{{- end -}}

{{- /* `temporal` of the configuration, as JSON. */ -}}
{{- define "slipway.temporal" -}}
{{- $values := .Values.stack.temporal -}}
{{- $folder := "/etc/slipway-temporal" -}}
{{- $temporal := dict
      "address" (required "stack.temporal.address: host:port of Temporal" $values.address)
      "namespace" $values.namespace
      "taskQueue" $values.taskQueue
      "ui" $values.ui -}}
{{- $tls := dict -}}
{{- if $values.tls.ca.secret -}}
{{- $_ := set $tls "caFile" (printf "%s/ca.crt" $folder) -}}
{{- end -}}
{{- if $values.tls.clientSecret -}}
{{- $_ := set $tls "client" (dict "certificateFile" (printf "%s/tls.crt" $folder) "keyFile" (printf "%s/tls.key" $folder)) -}}
{{- end -}}
{{- if $values.tls.serverName -}}
{{- $_ := set $tls "serverName" $values.tls.serverName -}}
{{- end -}}
{{- if or $values.tls.enabled $tls -}}
{{- $_ := set $temporal "tls" $tls -}}
{{- end -}}
{{- if $values.apiKey.secret -}}
{{- $_ := set $temporal "apiKeyFile" (printf "%s/api-key" $folder) -}}
{{- end -}}
{{- if $values.encryption.secret -}}
{{- $keys := list -}}
{{- range $values.encryption.keys -}}
{{- $keys = append $keys (dict "id" . "file" (printf "%s/encryption/%s" $folder .)) -}}
{{- end -}}
{{- $_ := set $temporal "encryption" (dict "keys" $keys) -}}
{{- end -}}
{{- toJson $temporal -}}
{{- end -}}

{{- define "slipway.environment" -}}
- name: SLIPWAY_STACK
  value: /etc/slipway/stack.json
- name: SLIPWAY_HOME
  value: /var/lib/slipway
{{- if .Values.caBundle.configMap }}
- name: NODE_EXTRA_CA_CERTS
  value: /etc/slipway-ca/{{ .Values.caBundle.key }}
{{- end }}
{{- end -}}

{{- define "slipway.mounts" -}}
- name: stack
  mountPath: /etc/slipway
  readOnly: true
- name: home
  mountPath: /var/lib/slipway
- name: tmp
  mountPath: /tmp
{{- if include "slipway.temporalFiles" . }}
- name: temporal
  mountPath: /etc/slipway-temporal
  readOnly: true
{{- end }}
{{- if .Values.caBundle.configMap }}
- name: ca
  mountPath: /etc/slipway-ca
  readOnly: true
{{- end }}
{{- end -}}

{{- define "slipway.volumes" -}}
- name: stack
  secret:
    secretName: {{ include "slipway.secret" . }}
    defaultMode: 0440
    items:
      - key: stack.json
        path: stack.json
- name: tmp
  emptyDir: {}
{{- with include "slipway.temporalFiles" . }}
- name: temporal
  projected:
    defaultMode: 0440
    sources:
      {{- . | trim | nindent 6 }}
{{- end }}
{{- if .Values.caBundle.configMap }}
- name: ca
  configMap:
    name: {{ .Values.caBundle.configMap }}
{{- end }}
{{- end -}}

{{- /* What pods of both parts have in common. */ -}}
{{- define "slipway.placement" -}}
{{- $root := .root -}}
{{- $part := index $root.Values .part -}}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
terminationGracePeriodSeconds: {{ $part.terminationGracePeriodSeconds }}
{{- with $part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- if $part.topologySpreadConstraints }}
  {{- toYaml $part.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "slipway.selector" $root | nindent 8 }}
        app.kubernetes.io/component: {{ $.part }}
  {{- end }}
  {{- end }}
{{- end -}}

{{- /* Bytes that the cache may take: nine tenths of its volume, so that it never fills it. */ -}}
{{- define "slipway.cacheBytes" -}}
{{- $size := .Values.worker.cache.size -}}
{{- $number := regexFind "^[0-9]+" $size | int64 -}}
{{- $unit := regexFind "[A-Za-z]+$" $size -}}
{{- $bytes := index (dict "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776) $unit -}}
{{- div (mul $number $bytes 9) 10 -}}
{{- end -}}
