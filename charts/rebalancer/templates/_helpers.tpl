{{/* The name of the objects. A CronJob's name has at most 52 characters. */}}
{{- define "rebalancer.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of the Role in a namespace. Releases of the same name in several namespaces may cover
     workloads in one namespace. */}}
{{- define "rebalancer.roleName" -}}
{{- $name := include "rebalancer.fullname" .root -}}
{{- if eq .namespace .root.Release.Namespace -}}
{{- $name -}}
{{- else -}}
{{- printf "%s.%s" $name .root.Release.Namespace -}}
{{- end -}}
{{- end -}}

{{- define "rebalancer.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The labels of the resident pods. The pods of `helm test` and of a CronJob lack the component. */}}
{{- define "rebalancer.serveSelectorLabels" -}}
{{ include "rebalancer.selectorLabels" . }}
app.kubernetes.io/component: serve
{{- end -}}

{{- define "rebalancer.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "rebalancer.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "rebalancer.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "rebalancer.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "rebalancer.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The time zone of the schedule. */}}
{{- define "rebalancer.timeZone" -}}
{{- default "Etc/UTC" .Values.timeZone -}}
{{- end -}}

{{/* Values that contradict each other are an error. */}}
{{- define "rebalancer.validate" -}}
{{- if eq .Values.mode "CronJob" -}}
{{- range $name := list "service" "podMonitor" "serviceMonitor" -}}
{{- if (get $.Values $name).enabled -}}
{{- fail (printf "%s.enabled needs mode: Deployment: the pods of a CronJob end before they could be scraped; settings.metrics_push_url publishes their metrics" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not .Values.service.enabled) -}}
{{- fail "serviceMonitor.enabled needs service.enabled; podMonitor.enabled scrapes the pods without a Service" -}}
{{- end -}}
{{- if and (eq .Values.mode "Deployment") (gt (int .Values.replicas) 1) (not .Values.leaderElection) -}}
{{- fail "replicas is above 1 with leaderElection: false: each replica would run the schedule" -}}
{{- end -}}
{{- end -}}

{{/* The common settings of the configuration file, as JSON. */}}
{{- define "rebalancer.commonSettings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- $_ := set $settings "dry_run" .Values.dryRun -}}
{{- $_ := set $settings "run_timeout" (printf "%ds" (int .Values.runTimeoutSeconds)) -}}
{{- if eq .Values.mode "Deployment" -}}
{{- $_ := set $settings "schedule" (printf "%s %s" .Values.schedule (include "rebalancer.timeZone" .)) -}}
{{- end -}}
{{- if not (hasKey $settings "kube_namespace") -}}
{{- $_ := set $settings "kube_namespace" .Release.Namespace -}}
{{- end -}}
{{- range $key, $_ := .Values.references -}}
{{- if hasSuffix "_file" $key -}}
{{- $_ := set $settings $key (printf "/etc/rebalancer/files/%s" $key) -}}
{{- end -}}
{{- end -}}
{{- toJson $settings -}}
{{- end -}}

{{/* The settings of each workload, as a JSON array; what is missing for a run is an error. */}}
{{- define "rebalancer.workloads" -}}
{{- if not .Values.workloads -}}
{{- fail "workloads is empty: list at least one, such as --set 'workloads[0].deployment_name=ingestion'" -}}
{{- end -}}
{{- $common := include "rebalancer.commonSettings" . | fromJson -}}
{{- $workloads := list -}}
{{- range $index, $entry := .Values.workloads -}}
{{- $workload := mergeOverwrite (deepCopy $common) $entry -}}
{{- if not $workload.prometheus_endpoint -}}
{{- fail (printf "settings.prometheus_endpoint is missing, and workloads[%d] has none of its own: it is the base URL of the metrics server, such as http://victoriametrics:8428" $index) -}}
{{- end -}}
{{- if not $workload.deployment_name -}}
{{- fail (printf "workloads[%d].deployment_name is missing: it is the name of the workload" $index) -}}
{{- end -}}
{{- $workloads = append $workloads $workload -}}
{{- end -}}
{{- toJson $workloads -}}
{{- end -}}

{{/* The rules of the Role in a namespace: the rights that the settings of its workloads need, which are
     those of rebalancer-k8s/src/permissions.rs. */}}
{{- define "rebalancer.rules" -}}
{{- $deployments := list -}}
{{- $statefulSets := list -}}
{{- $custom := dict -}}
{{- $autoscalers := false -}}
{{- $pausedAutoscalers := false -}}
{{- $evict := false -}}
{{- $budgets := false -}}
{{- $delete := false -}}
{{- $lease := false -}}
{{- $root := .root -}}
{{- $namespace := .namespace -}}
{{- range .workloads -}}
{{- if eq .kube_namespace $namespace -}}
{{- $kind := default "Deployment" .workload_kind -}}
{{- if eq $kind "Deployment" -}}
{{- $deployments = append $deployments .deployment_name -}}
{{- else if eq $kind "StatefulSet" -}}
{{- $statefulSets = append $statefulSets .deployment_name -}}
{{- else -}}
{{- $names := get $custom $kind | default (list) -}}
{{- $_ := set $custom $kind (append $names .deployment_name) -}}
{{- end -}}
{{- $evicts := has (default "rotate-outliers" .strategy) (list "rotate-outliers" "forecast" "auto") -}}
{{- $needsTarget := or $evicts (not .imbalance_tolerance) -}}
{{- if ne (default "kubernetes" .target_source) "prometheus" -}}
{{- $autoscalers = true -}}
{{- if and $root.Values.rbac.keda $needsTarget (not .target_cores) -}}
{{- $pausedAutoscalers = true -}}
{{- end -}}
{{- end -}}
{{- if and $evicts (eq (default "evict" .eviction_method) "delete") -}}
{{- $delete = true -}}
{{- else if $evicts -}}
{{- $evict = true -}}
{{- if .dry_run -}}
{{- $budgets = true -}}
{{- end -}}
{{- end -}}
{{- if ne (toString (get . "one_at_a_time")) "false" -}}
{{- $lease = true -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $deployments -}}
# The workloads: their selectors and rollouts, and the annotations of the last rotation and of a plan that
# waits for approval.
- apiGroups: ["apps"]
  resources: ["deployments"]
  resourceNames: {{ toJson . }}
  verbs: ["get", "patch"]
{{ end -}}
{{- with $statefulSets -}}
- apiGroups: ["apps"]
  resources: ["statefulsets"]
  resourceNames: {{ toJson . }}
  verbs: ["get", "patch"]
{{ end -}}
{{- range $kind, $names := $custom -}}
{{- $parts := splitList "." $kind -}}
{{- $group := join "." (slice $parts 2) -}}
{{- $resource := default (printf "%ss" (lower (first $parts))) (get $root.Values.rbac.customKinds $kind) -}}
- apiGroups: [{{ $group | quote }}]
  resources: [{{ $resource | quote }}]
  resourceNames: {{ toJson $names }}
  verbs: ["get", "patch"]
- apiGroups: [{{ $group | quote }}]
  resources: [{{ printf "%s/scale" $resource | quote }}]
  resourceNames: {{ toJson $names }}
  verbs: ["get"]
{{ end -}}
{{- if or $deployments $custom -}}
# Which pods the workloads own.
- apiGroups: ["apps"]
  resources: ["replicasets"]
  verbs: ["list"]
{{ end -}}
# The pods, and each victim again right before its eviction.
- apiGroups: [""]
  resources: ["pods"]
  verbs: ["get", "list"{{ if $delete }}, "delete"{{ end }}]
{{- if $evict }}
# Evictions that respect PodDisruptionBudgets. A dry run sends them too; the API server checks them and
# executes none.
- apiGroups: [""]
  resources: ["pods/eviction"]
  verbs: ["create"]
{{- end }}
{{- if $budgets }}
# The budgets against which a dry run counts its evictions.
- apiGroups: ["policy"]
  resources: ["poddisruptionbudgets"]
  verbs: ["list"]
{{- end }}
{{- if $autoscalers }}
# The target load, and whether a workload is being scaled.
- apiGroups: ["autoscaling"]
  resources: ["horizontalpodautoscalers"]
  verbs: ["list"]
{{- end }}
{{- if $pausedAutoscalers }}
# Whether KEDA has paused an autoscaler, which does not exist meanwhile.
- apiGroups: ["keda.sh"]
  resources: ["scaledobjects"]
  verbs: ["list"]
{{- end }}
{{- if $lease }}
# The Leases rebalancer-KIND-NAME, which let only one run at a time act on a workload.
- apiGroups: ["coordination.k8s.io"]
  resources: ["leases"]
  verbs: ["get", "create", "update"]
{{- end }}
# Events that record what was done.
- apiGroups: ["events.k8s.io"]
  resources: ["events"]
  verbs: ["create"]
{{- end -}}

{{/* The time after which Kubernetes ends a run. */}}
{{- define "rebalancer.activeDeadlineSeconds" -}}
{{- if .Values.activeDeadlineSeconds -}}
{{- int .Values.activeDeadlineSeconds -}}
{{- else -}}
{{- $concurrent := int (default 4 .Values.settings.max_concurrent_workloads) -}}
{{- if .Values.settings.max_evictions -}}
{{- $concurrent = 1 -}}
{{- end -}}
{{- $rounds := div (add (len .Values.workloads) $concurrent -1) $concurrent -}}
{{- mul $rounds (add (int .Values.runTimeoutSeconds) 60) -}}
{{- end -}}
{{- end -}}

{{/* The pod of a run or, with arguments, of another command; with `serve`, the resident pod. */}}
{{- define "rebalancer.podSpec" -}}
{{- $root := .root -}}
serviceAccountName: {{ include "rebalancer.serviceAccountName" $root }}
restartPolicy: {{ if .serve }}Always{{ else }}Never{{ end }}
# After SIGTERM, no action is started. The time covers the end of a hand-over (usually some seconds, at most
# a minute) or a pending eviction (30 s), the records and the Leases, the push of the metrics and the
# notification.
terminationGracePeriodSeconds: {{ int $root.Values.terminationGracePeriodSeconds }}
# Service links would add variables to the environment, which is part of the configuration.
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
containers:
  - name: rebalancer
    image: {{ include "rebalancer.image" $root | quote }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    {{- with .args }}
    args: {{ toJson . }}
    {{- end }}
    securityContext:
      {{- toYaml $root.Values.securityContext | nindent 6 }}
    resources:
      {{- toYaml $root.Values.resources | nindent 6 }}
    {{- if .serve }}
    ports:
      - name: http
        containerPort: {{ int $root.Values.port }}
        protocol: TCP
    livenessProbe:
      httpGet:
        path: /healthz
        port: http
      {{- toYaml $root.Values.livenessProbe | nindent 6 }}
    readinessProbe:
      httpGet:
        path: /readyz
        port: http
      {{- toYaml $root.Values.readinessProbe | nindent 6 }}
    {{- end }}
    env:
      - name: REBALANCER_CONFIG
        value: /etc/rebalancer/config.yaml
      {{- if .serve }}
      # Variables, because a change of these settings needs a new pod. All others are in the file, which
      # is read again when it changes.
      - name: LISTEN_ADDRESS
        value: {{ printf "[::]:%d" (int $root.Values.port) | quote }}
      - name: LEADER_ELECTION
        value: {{ $root.Values.leaderElection | quote }}
      - name: LEADER_ELECTION_LEASE
        value: {{ include "rebalancer.fullname" $root }}
      {{- end }}
      {{- range $key, $reference := $root.Values.references }}
      {{- if not (hasSuffix "_file" $key) }}
      - name: {{ upper $key }}
        valueFrom:
          secretKeyRef:
            name: {{ $reference.secret | quote }}
            key: {{ $reference.key | quote }}
      {{- end }}
      {{- end }}
      {{- with $root.Values.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    volumeMounts:
      - name: configuration
        mountPath: /etc/rebalancer
        readOnly: true
      {{- with $root.Values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  - name: configuration
    projected:
      # 0440: the user of the pod reads them by its group.
      defaultMode: 288
      sources:
        - configMap:
            name: {{ include "rebalancer.fullname" $root }}
        {{- range $key, $reference := $root.Values.references }}
        {{- if hasSuffix "_file" $key }}
        - {{ if $reference.secret }}secret{{ else }}configMap{{ end }}:
            name: {{ default $reference.configMap $reference.secret | quote }}
            items:
              - key: {{ $reference.key | quote }}
                path: {{ printf "files/%s" $key }}
        {{- end }}
        {{- end }}
  {{- with $root.Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $root.Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml $root.Values.topologySpreadConstraints | nindent 2 }}
{{- else if and .serve (gt (int $root.Values.replicas) 1) }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "rebalancer.serveSelectorLabels" $root | nindent 8 }}
{{- end }}
{{- end -}}
