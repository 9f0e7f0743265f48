import type { AdminPorts } from './admin-contract.ts'
import { agentRoutes } from './agent-routes.ts'
import { appointmentRoutes } from './appointment-routes.ts'
import { availabilityRoutes } from './availability-routes.ts'
import { bookingCalendarRoutes } from './booking-calendar-routes.ts'
import { bookingFeedRoutes } from './booking-feed-routes.ts'
import { bookingRuleRoutes } from './booking-rule-routes.ts'
import { callRoutes } from './call-routes.ts'
import { companyRoutes } from './company-routes.ts'
import { erasureRoutes } from './erasure-routes.ts'
import { eventRoutes } from './event-routes.ts'
import { formRoutes } from './form-routes.ts'
import { gapRoutes } from './gap-routes.ts'
import { knowledgeRoutes } from './knowledge-routes.ts'
import { knowledgeTransferRoutes } from './knowledge-transfer-routes.ts'
import { leadRoutes } from './lead-routes.ts'
import { notificationRoutes } from './notification-routes.ts'
import type { Resources } from './pipeline.ts'
import { recordingRoutes } from './recording-routes.ts'
import { resourceRoutes } from './resource-routes.ts'
import { secretRoutes } from './secret-routes.ts'
import { serviceRoutes } from './service-routes.ts'
import { transferTargetRoutes } from './transfer-target-routes.ts'
import { tryRoutes } from './try-routes.ts'
import { usageRoutes } from './usage-routes.ts'

/** Everything under /api/v1 but sign-in, people, keys and audit, for `registerAdmin`. */
export function adminResources(ports: AdminPorts): readonly Resources[] {
  return [
    companyRoutes(ports),
    agentRoutes(ports),
    knowledgeRoutes(ports),
    knowledgeTransferRoutes(ports),
    tryRoutes(ports),
    transferTargetRoutes(ports),
    callRoutes(ports),
    recordingRoutes(ports),
    erasureRoutes(ports),
    gapRoutes(ports),
    usageRoutes(ports),
    secretRoutes(ports),
    eventRoutes(ports),
    leadRoutes(ports),
    notificationRoutes(ports),
    serviceRoutes(ports),
    resourceRoutes(ports),
    formRoutes(ports),
    bookingRuleRoutes(ports),
    availabilityRoutes(ports),
    appointmentRoutes(ports),
    bookingCalendarRoutes(ports),
    bookingFeedRoutes(ports),
  ]
}
